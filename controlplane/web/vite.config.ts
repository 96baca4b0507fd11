import { defineConfig } from 'vite'

// The daemon serves dist/ as it is; `npm run dev` works against a daemon on this host.
export default defineConfig({
  esbuild: { jsx: 'automatic' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    rollupOptions: { onwarn: (w, warn) => { if (w.code !== 'MODULE_LEVEL_DIRECTIVE') warn(w) } }, // "use client" means nothing here
  },
  server: { proxy: { '/ws': { target: 'wss://localhost:8443', ws: true, secure: false } } },
})
