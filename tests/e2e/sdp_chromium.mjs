// Chromium against the negotiator: it must take our answers and offers, and we its. With a second argument, writes
// what it said as fixtures into that folder.
//   node sdp_chromium.mjs BUILD/controlplane/nego/nego_peer [FOLDER]
import { browser } from './lib.mjs';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import readline from 'node:readline';

const [, , binary, folder] = process.argv;
const peers = [];
function negotiator() {
  const child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  peers.push({ child, ask: async (req) => {
    child.stdin.write(JSON.stringify(req) + '\n');
    return JSON.parse((await lines.next()).value);
  } });
  return peers.length - 1;
}

const chromium = await browser();
const page = await chromium.newPage();
page.on('console', (m) => console.log(m.text()));
await page.exposeFunction('negotiator', negotiator);
await page.exposeFunction('ask', (i, req) => peers[i].ask(req));
await page.exposeFunction('fixture', (name, sdp) => folder && fs.writeFileSync(`${folder}/chromium_${name}.sdp`, sdp));
await page.goto('about:blank');
await page.evaluate(async () => {
  const must = (ok, what) => { console.log((ok ? 'ok ' : 'FAIL ') + what); if (!ok) throw new Error(what); };
  const canvas = document.createElement('canvas');
  canvas.getContext('2d').fillRect(0, 0, 9, 9);
  const video = () => canvas.captureStream(5).getVideoTracks()[0];
  const audio = () => new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0];
  const rids = () => ({ direction: 'sendonly', sendEncodings: [{ rid: 'q', scaleResolutionDownBy: 4 },
    { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }] });
  const gather = () => new Promise((r) => setTimeout(r, 300));
  const sendonly = { direction: 'sendonly' };

  async function publish(pc, n, what, name) {
    await pc.setLocalDescription(await pc.createOffer());
    if (name) { await gather(); await fixture(name, pc.localDescription.sdp); }
    const a = await ask(n, { op: 'publish', sdp: pc.localDescription.sdp });
    must(a.rc === 0, `${what}: offer taken ${a.error}`);
    await pc.setRemoteDescription({ type: 'answer', sdp: a.sdp });
    must(pc.signalingState === 'stable', `${what}: answer taken`);
    return a;
  }
  async function subscribe(pc, n, req, what, name) {
    const o = await ask(n, req);
    must(o.rc === 0, `${what}: offer made`);
    await pc.setRemoteDescription({ type: 'offer', sdp: o.sdp });
    await pc.setLocalDescription(await pc.createAnswer());
    if (name) { await gather(); await fixture(name, pc.localDescription.sdp); }
    const a = await ask(n, { op: 'answer', sdp: pc.localDescription.sdp });
    must(a.rc === 0, `${what}: answer taken ${a.error}`);
    must(a.media.every((m) => m.agreed), `${what}: agreed`);
    return a;
  }

  let pc = new RTCPeerConnection();
  let n = await negotiator();
  const stream = new MediaStream();
  pc.addTransceiver(audio(), { ...sendonly, streams: [stream] });
  pc.addTransceiver(video(), { ...sendonly, streams: [stream] });
  await publish(pc, n, 'audio and video', 'av');

  pc = new RTCPeerConnection();
  pc.addTrack(audio());
  pc.addTrack(video());
  await publish(pc, await negotiator(), 'sendrecv', 'sendrecv');
  must(pc.getTransceivers().every((t) => t.currentDirection === 'sendonly'), 'sendrecv: becomes sendonly');

  const sub = new RTCPeerConnection(), seen = [];
  sub.ontrack = (e) => seen.push(e.transceiver.mid);
  await subscribe(sub, n, { op: 'subscribe', add: 4 }, 'four tracks', 'answer');
  must(seen.length === 4, 'four tracks: seen');
  let a = await subscribe(sub, n, { op: 'remove', index: 1 }, 'one removed');
  must(a.media[1].dir === 0, 'one removed: inactive');
  a = await subscribe(sub, n, { op: 'subscribe', add: 3 }, 'three more');
  must(a.media.length === 6 && seen.length === 7, 'three more: m-line used again');
  sub.getTransceivers()[2].stop();
  a = await subscribe(sub, n, { op: 'subscribe', add: 0 }, 'one stopped');
  must(a.media[2].dir === 0, 'one stopped: inactive');
  await subscribe(sub, n, { op: 'subscribe', add: 80 }, 'eighty more');

  pc = new RTCPeerConnection();
  pc.addTransceiver('audio', { direction: 'recvonly' });
  pc.addTransceiver('video', { direction: 'recvonly' });
  await pc.setLocalDescription(await pc.createOffer());
  await gather();
  await fixture('recvonly', pc.localDescription.sdp);
  a = await ask(n, { op: 'play', sdp: pc.localDescription.sdp });
  must(a.rc === 0, `play: offer taken ${a.error}`);
  await pc.setRemoteDescription({ type: 'answer', sdp: a.sdp });
  must(pc.getTransceivers().every((t) => t.currentDirection === 'recvonly'), 'play: both received');

  pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  n = await negotiator();
  pc.addTransceiver(audio(), sendonly);
  const layers = pc.addTransceiver(video(), rids());
  await publish(pc, n, 'simulcast', 'simulcast');
  const has = (t, uri) => t.sender.getParameters().headerExtensions.some((e) => e.uri.endsWith(uri));
  must(layers.sender.getParameters().encodings.length === 3, 'simulcast: three encodings');
  must(has(layers, 'sdes:rtp-stream-id') && has(layers, 'sdes:mid'), 'simulcast: rid and mid');
  must(layers.sender.getParameters().codecs.length === 8, 'simulcast: eight payload types');
  const second = pc.addTransceiver(video(), sendonly);
  pc.createDataChannel('x');
  a = await publish(pc, n, 'with a data channel', 'datachannel');
  must(second.currentDirection === 'sendonly' && a.media[3].rejected && !a.restarted, 'with a data channel: that refused');
  second.stop();
  await publish(pc, n, 'one stopped');
  pc.addTransceiver(audio(), sendonly);
  await publish(pc, n, 'another in its place', 'reoffer');
  pc.restartIce();
  a = await publish(pc, n, 'ICE restart');
  must(a.restarted, 'ICE restart: seen');
  layers.direction = 'inactive';
  await publish(pc, n, 'inactive');
  layers.direction = 'sendonly';
  await publish(pc, n, 'back again');
});
await chromium.close();
for (const p of peers) p.child.stdin.end();
