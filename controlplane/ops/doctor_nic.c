#include "controlplane/ops/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ebpf/xdp_steer.h"

#define NET "/sys/class/net/%s"
#define PCI "/sys/bus/pci/devices/%s"

bool doctor_nic(const struct doctor *d, struct doctor_nic *out, const char *ifname)
{
	memset(out, 0, sizeof(*out));
	if (!d->probe)
		return false;
	d->probe->nic(out, ifname);
	return true;
}

static bool is_pci_device(const struct dp_conf_port *p)
{
	unsigned a, b, c, f;

	return p->kind == DP_PORT_PCI && sscanf(p->pci, "%x:%x:%x.%x", &a, &b, &c, &f) == 4;
}

/* The address without the driver's arguments. */
static const char *pci_address(char *buf, size_t size, const struct dp_conf_port *p)
{
	snprintf(buf, size, "%.*s", (int)strcspn(p->pci, ","), p->pci);
	return buf;
}

int doctor_port_node(const struct doctor *d, const struct dp_conf_port *p)
{
	char pci[128];
	long long node = -1;

	if (is_pci_device(p))
		doctor_number(d, &node, PCI "/numa_node", pci_address(pci, sizeof(pci), p));
	else if (p->kind == DP_PORT_AF_XDP &&
	         doctor_number(d, &node, NET "/device/numa_node", p->interface))
		doctor_number(d, &node, NET "/device/../numa_node", p->interface); // virtio
	return (int)node;
}

bool doctor_is_xdp(const struct doctor *d, const struct dp_conf_port *p)
{
	long long index;

	return p->kind == DP_PORT_AF_XDP && p->interface[0] &&
	       !doctor_number(d, &index, NET "/ifindex", p->interface);
}

bool doctor_copies(const struct doctor *d)
{
	struct doctor_nic nic;

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];

		if (!doctor_is_xdp(d, p))
			continue;
		if (!strcmp(p->interface, "lo") || p->xdp_mode == DP_XDP_GENERIC)
			return true;
		doctor_nic(d, &nic, p->interface);
		if (!strcmp(nic.driver, "veth") ||
		    (nic.has_xdp && nic.xdp.mode == XDP_STEER_GENERIC))
			return true;
	}
	return false;
}

/* ---- the interface ---- */

static void twin(struct doctor *d, const struct dp_conf_port *p)
{
	long long index;

	if (!d->pid || !p->interface[0])
		return;
	if (!doctor_number(d, &index, NET "/ifindex", p->interface))
		return;
	doctor_say(d, DOCTOR_PROBLEM, "%s: the TAP beside the NIC is gone", p->interface);
	doctor_why(d, "it carries the NIC's addresses: neither ARP nor signaling works without");
	doctor_fix(d, "conf/callstack down && conf/callstack up");
}

void doctor_check_interface(struct doctor *d)
{
	long long carrier;
	char state[32] = "";

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];

		if (p->kind == DP_PORT_PCI)
			twin(d, p);
		if (p->kind != DP_PORT_AF_XDP)
			continue;
		if (!doctor_is_xdp(d, p)) {
			doctor_say(d, DOCTOR_PROBLEM, "there is no interface %s", p->interface);
			doctor_why(d, "the dataplane does not start");
			doctor_fix(d, "ip -brief link # then: conf/callstack up --interface NAME");
			continue;
		}
		doctor_line(d, state, sizeof(state), NET "/operstate", p->interface);
		/* Reading the carrier of an interface that is down is an error. */
		if (!strcmp(state, "down") ||
		    doctor_number(d, &carrier, NET "/carrier", p->interface)) {
			doctor_say(d, DOCTOR_PROBLEM, "%s is down", p->interface);
			doctor_fix(d, "ip link set dev %s up", p->interface);
		} else if (!carrier) {
			doctor_say(d, DOCTOR_PROBLEM, "%s has no carrier", p->interface);
			doctor_fix(d, "ethtool %s # cable, transceiver, the switch's port",
			           p->interface);
		} else {
			doctor_say(d, DOCTOR_OK, "%s is up", p->interface);
		}
	}
}

/* ---- devices of DPDK ---- */

static void pcie_link(struct doctor *d, const char *pci)
{
	char speed[64], best[64];
	long long width, most;

	if (doctor_line(d, speed, sizeof(speed), PCI "/current_link_speed", pci) ||
	    doctor_line(d, best, sizeof(best), PCI "/max_link_speed", pci) ||
	    doctor_number(d, &width, PCI "/current_link_width", pci) ||
	    doctor_number(d, &most, PCI "/max_link_width", pci) ||
	    (width >= most && atof(speed) >= atof(best)))
		return;
	doctor_say(d, DOCTOR_WARNING, "%s: PCIe x%lld at %s, it can do x%lld at %s", pci, width,
	           speed, most, best);
	doctor_why(d, "a slot with fewer lanes than the NIC limits packets a second before the "
	              "wire does");
	doctor_fix(d, "lspci -vv -s %s | grep -e LnkCap -e LnkSta # then another slot", pci);
}

static void pci_driver(struct doctor *d, const char *pci)
{
	char driver[64] = "none", group[32];
	bool vfio;

	doctor_link(d, driver, sizeof(driver), PCI "/driver", pci);
	vfio = !strcmp(driver, "vfio-pci");
	if (vfio && doctor_link(d, group, sizeof(group), PCI "/iommu_group", pci)) {
		doctor_say(d, DOCTOR_WARNING, "%s: vfio-pci without an IOMMU", pci);
		doctor_why(d, "the device may write to all memory, and unsafe mode has to be on");
		doctor_fix(d, "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' "
		              "/etc/default/grub && update-grub && reboot");
	} else if (vfio || !strncmp(driver, "mlx", 3) || !strncmp(driver, "mana", 4) ||
	           !strcmp(driver, "uio_pci_generic") || !strcmp(driver, "igb_uio")) {
		doctor_say(d, DOCTOR_OK, "%s: %s", pci, driver);
	} else {
		doctor_say(d, DOCTOR_PROBLEM, "%s: driver %s, not DPDK's", pci, driver);
		doctor_fix(d, "modprobe vfio-pci && dpdk-devbind.py -b vfio-pci %s", pci);
	}
}

void doctor_check_driver(struct doctor *d)
{
	struct doctor_nic nic;
	char pci[128];
	char vendor[32];

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];

		if (doctor_is_xdp(d, p) && doctor_nic(d, &nic, p->interface) && nic.driver[0])
			doctor_say(d, DOCTOR_OK, "%s: %s", p->interface, nic.driver);
		if (!is_pci_device(p))
			continue;
		pci_address(pci, sizeof(pci), p);
		if (doctor_line(d, vendor, sizeof(vendor), PCI "/vendor", pci)) {
			doctor_say(d, DOCTOR_PROBLEM, "there is no PCI device %s", pci);
			doctor_why(d, "the dataplane does not start");
			doctor_fix(d, "dpdk-devbind.py --status-dev net");
			continue;
		}
		pci_driver(d, pci);
		pcie_link(d, pci);
	}
}

/* ---- XDP ---- */

static void running_xdp(struct doctor *d, const struct dp_conf_port *p, const struct doctor_nic *nic)
{
	const char *name = p->interface;

	if (nic->xdp.mode == XDP_STEER_NONE) {
		doctor_say(d, DOCTOR_PROBLEM, "%s: the dataplane runs, and no XDP program is attached",
		           name);
		doctor_why(d, "no media reaches the dataplane");
		doctor_fix(d, "conf/callstack down && conf/callstack up");
	} else if (nic->xdp.mode == XDP_STEER_GENERIC && strcmp(name, "lo") != 0) {
		doctor_say(d, DOCTOR_WARNING, "%s: XDP generic%s%s", name,
		           nic->driver[0] ? ", driver " : "", nic->driver);
		if (p->xdp_mode == DP_XDP_GENERIC)
			doctor_fix(d, "conf/callstack down && conf/callstack up --interface %s --set "
			              "dataplane.ports.0.xdp_mode=auto", name);
		else
			doctor_fix(d, "ip link set dev %s mtu 1500 && ethtool -K %s lro off rx-gro-hw "
			              "off && conf/callstack down && conf/callstack up --interface %s "
			              "# else: a driver with XDP, or kind: pci", name, name, name);
	} else {
		doctor_say(d, DOCTOR_OK, "%s: attached %s", name,
		           nic->xdp.mode == XDP_STEER_GENERIC ? "generically, as lo can"
		           : nic->xdp.mode == XDP_STEER_NATIVE ? "natively"
		                                               : "in hardware");
	}
}

void doctor_check_xdp(struct doctor *d)
{
	struct doctor_nic nic;

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];

		if (!doctor_is_xdp(d, p))
			continue;
		if (!strcmp(p->interface, "lo") && p->xdp_mode == DP_XDP_NATIVE) {
			doctor_say(d, DOCTOR_PROBLEM, "xdp_mode: native on lo");
			doctor_why(d, "lo has no XDP of its own: the dataplane does not start");
			doctor_fix(d, "conf/callstack up --set dataplane.ports.%u.xdp_mode=auto", i);
			continue;
		}
		doctor_nic(d, &nic, p->interface);
		if (nic.has_xdp && nic.xdp.mode != XDP_STEER_NONE && !nic.xdp.ours) {
			doctor_say(d, DOCTOR_PROBLEM, "%s has another XDP program: %s", p->interface,
			           nic.xdp.name);
			doctor_why(d, "one program an interface: the dataplane leaves it there and "
			              "does not start");
			doctor_fix(d, "ip link set dev %s xdp off", p->interface);
		} else if (nic.has_xdp && d->pid) {
			running_xdp(d, p, &nic);
		} else if (p->xdp_mode == DP_XDP_GENERIC && strcmp(p->interface, "lo") != 0) {
			doctor_say(d, DOCTOR_ADVICE, "%s: xdp_mode: generic", p->interface);
			doctor_fix(d, "conf/callstack up --set dataplane.ports.%u.xdp_mode=auto", i);
		} else {
			doctor_say(d, DOCTOR_OK, "%s: nothing else is attached%s", p->interface,
			           nic.has_xdp ? "" : ", or it cannot be seen from here");
		}
	}
}

/* ---- MTU ---- */

void doctor_check_mtu(struct doctor *d)
{
	enum { LEAST = 1280, USUAL = 1500, BUFFER = 1900 };
	long long mtu;

	for (uint32_t i = 0; i < d->conf->ports.n; i++) {
		const struct dp_conf_port *p = &d->conf->ports.v[i];
		const char *name = p->interface;

		if (!doctor_is_xdp(d, p) || doctor_number(d, &mtu, NET "/mtu", name))
			continue;
		if (mtu < LEAST) {
			doctor_say(d, DOCTOR_PROBLEM, "%s: MTU %lld", name, mtu);
			doctor_why(d, "IPv6 needs 1280 (RFC 8200 §5), and browsers send video in "
			              "packets of about 1200 bytes and more");
			doctor_fix(d, "ip link set dev %s mtu %d", name, USUAL);
		} else if ((long long)p->mtu > mtu) {
			doctor_say(d, DOCTOR_PROBLEM, "ports.%u.mtu is %u, %s has %lld", i, p->mtu, name,
			           mtu);
			doctor_why(d, "the interface drops what is longer than its own");
			doctor_fix(d, "conf/callstack up --set dataplane.ports.%u.mtu=0", i);
		} else if (mtu < USUAL) {
			doctor_say(d, DOCTOR_ADVICE, "%s: MTU %lld", name, mtu);
			doctor_why(d, "clients behind a path of 1500 bytes may send packets that do "
			              "not fit, and IP fragments are not media to the program");
			doctor_fix(d, "ip link set dev %s mtu %d # if the network carries it", name,
			           USUAL);
		} else if (mtu > BUFFER && strcmp(name, "lo") != 0) {
			doctor_say(d, DOCTOR_WARNING, "%s: MTU %lld", name, mtu);
			doctor_why(d, "frames over 2 KiB do not fit an AF_XDP buffer, and many drivers "
			              "refuse a native program with such an MTU");
			doctor_fix(d, "ip link set dev %s mtu %d", name, USUAL);
		} else {
			doctor_say(d, DOCTOR_OK, "%s: MTU %lld", name, mtu);
		}
	}
}
