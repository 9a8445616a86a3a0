#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""moat groups on small machines of our own: usage: test_groups.py MOAT"""
import json
import os
import subprocess
import sys
import tempfile

moat = sys.argv[1]
tests = []


def test(fn):
    tests.append(fn)
    return fn


def run(text, *args, source="--lspci"):
    return subprocess.run([moat, "groups", source, "-", *args], input=text,
                          capture_output=True, text=True)


def groups(text, *args, source="--lspci"):
    p = run(text, "--format", "json", *args, source=source)
    assert p.returncode == 0, p.stderr
    return {d["address"]: d for d in json.loads(p.stdout)["devices"]}


def together(g, *devices):
    return len({g["0000:" + d if d.count(":") == 1 else d]["group"] for d in devices}) == 1


ACS = ("\tCapabilities: [100 v1] Access Control Services\n"
       "\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- "
       "DirectTrans-\n"
       "\t\tACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- "
       "DirectTrans-\n")


def port(address, bus, acs=True, kind="Root Port (Slot+)", prefix=""):
    return (f"{prefix}{address} PCI bridge [0604]: Some Port [1b36:000c]\n"
            f"\tControl: I/O+\n"
            f"\tBus: primary=00, secondary={bus}, subordinate={bus}, sec-latency=0\n"
            f"\tCapabilities: [40] Express (v2) {kind}, MSI 00\n" + (ACS if acs else ""))


def endpoint(address, ids="1b36:0010", more=""):
    return (f"{address} Ethernet controller [0200]: Some Card [{ids}]\n"
            f"\tControl: I/O+\n"
            f"\tCapabilities: [40] Express (v2) Endpoint, MSI 00\n" + more)


@test
def words_acs_isolates():
    g = groups(port("00:1c.0", "01") + endpoint("01:00.0"))
    assert not together(g, "00:1c.0", "01:00.0")
    assert all(d["certain"] for d in g.values())


@test
def words_no_acs_joins_port_and_device():
    g = groups(port("00:1c.0", "01", acs=False) + endpoint("01:00.0"))
    assert together(g, "00:1c.0", "01:00.0")
    assert g["0000:01:00.0"]["reason"] == "no-acs"


@test
def words_functions_of_a_slot_join():
    g = groups(port("00:1c.0", "01") + endpoint("01:00.0") + endpoint("01:00.1"))
    assert together(g, "01:00.0", "01:00.1")


@test
def words_quirk_isolates_functions():
    g = groups(port("00:1c.0", "01") + endpoint("01:00.0", "8086:1521") +
               endpoint("01:00.1", "8086:1521"))
    assert not together(g, "01:00.0", "01:00.1")


@test
def words_pci_bridge_joins_what_is_behind():
    g = groups(port("00:1c.0", "01") +
               port("01:00.0", "02", acs=False, kind="PCI-Express to PCI/PCI-X Bridge") +
               "02:01.0 Ethernet controller [0200]: Card [1b36:0010]\n\tControl: I/O+\n" +
               "02:02.0 Ethernet controller [0200]: Card [1b36:0010]\n\tControl: I/O+\n")
    assert together(g, "02:01.0", "02:02.0", "01:00.0")


@test
def words_broken_by_mail_are_joined():
    text = port("00:1c.0", "01") + endpoint("01:00.0")
    broken = text.replace("CmpltRedir+ UpstreamFwd+", "CmpltRedir+ \nUpstreamFwd+")
    assert broken != text
    broken = broken.replace("\t", "\u00a0 ").replace("(v2) Root", "(v2) \nRoot")
    assert not together(groups(broken), "00:1c.0", "01:00.0")


@test
def words_access_denied_is_uncertain():
    g = groups("00:1c.0 PCI bridge [0604]: P [1b36:000c]\n\tFlags: fast devsel\n"
               "\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0\n"
               "\tCapabilities: <access denied>\n"
               "01:00.0 Ethernet controller [0200]: C [1b36:0010]\n\tFlags: fast\n"
               "\tCapabilities: <access denied>\n")
    assert not g["0000:01:00.0"]["certain"]
    assert "type" in g["0000:01:00.0"]["unknown"]


@test
def brief_lspci_does_not_know_places():
    g = groups("00:1c.0 PCI bridge [0604]: P [1b36:000c]\n"
               "01:00.0 Ethernet controller [0200]: C [1b36:0010]\n")
    assert "place" in g["0000:01:00.0"]["unknown"]


@test
def path_tells_the_bridge():
    g = groups("00:1c.0 PCI bridge [0604]: P [1b36:000c]\n"
               "00:1c.0/01:00.0 Ethernet controller [0200]: C [1b36:0010]\n")
    assert "place" not in g["0000:01:00.0"]["unknown"]


@test
def virtual_functions_are_no_multifunction():
    iov = ("\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)\n"
           "\t\tIOVCtl:\tEnable+ Migration- Interrupt- MSE+ ARIHierarchy+\n"
           "\t\tInitial VFs: 4, Total VFs: 4, Number of VFs: 2, Function Dependency\n"
           "\t\tVF offset: 2, stride: 1, Device ID: 1\n")
    g = groups(port("00:1c.0", "01") + endpoint("01:00.0", more=iov) +
               endpoint("01:00.2") + endpoint("01:00.3"))
    assert not together(g, "01:00.2", "01:00.3")
    assert not together(g, "01:00.0", "01:00.2")


@test
def vmd_children_share_its_group():
    g = groups("0000:00:0e.0 RAID bus controller [0104]: VMD [8086:9a0b]\n"
               "\tControl: I/O+\n"
               "\tCapabilities: [80] Express (v2) Root Complex Integrated Endpoint\n"
               "10000:e0:06.0 System peripheral [0880]: X [8086:09ab]\n\tControl: I/O+\n"
               "10000:e0:17.0 SATA controller [0106]: X [8086:51d3]\n\tControl: I/O+\n")
    assert together(g, "00:0e.0", "10000:e0:06.0", "10000:e0:17.0")


@test
def torn_register_line_is_mended():
    line = "%02x: " + " ".join(["00"] * 16) + "\n"
    text = ("00:00.0 0600: 8086:1234\n00: 86 80 34 12 00 00 00 00 00 pcilib: read failed\n"
            "00 00 06 00 00 00 00\n" + line % 16 + line % 32 + line % 48)
    assert groups(text)["0000:00:00.0"]["vendor"] == "8086"


LOG = ("[ 0.1] pci 0000:00:1c.0: [1b36:000c] type 01 class 0x060400 PCIe Root Port\n"
       "[ 0.1] pci 0000:00:1c.0: PCI bridge to [bus 01]\n"
       "[ 0.1] pci 0000:00:1f.0: [1b36:0001] type 00 class 0x060100 conventional PCI "
       "endpoint\n"
       "[ 0.1] pci 0000:01:00.0: [1b36:0010] type 00 class 0x010802 PCIe Endpoint\n"
       "[ 0.2] pci 0000:00:1c.0: Adding to iommu group 0\n"
       "[ 0.2] pci 0000:00:1f.0: Adding to iommu group 1\n"
       "[ 0.2] pci 0000:01:00.0: Adding to iommu group 2\n")


@test
def log_certain_is_what_acs_cannot_change():
    g = groups(LOG, source="--dmesg")
    assert g["0000:00:1f.0"]["certain"] and not g["0000:00:1f.0"]["differs"]
    assert not g["0000:01:00.0"]["certain"] and g["0000:01:00.0"]["kernel_group"] == 2


@test
def what_if_acs_parts_them():
    g = groups(port("00:1c.0", "01", acs=False) + endpoint("01:00.0"),
               "--what-if", "acs 00:1c.0")
    assert not together(g, "00:1c.0", "01:00.0")


@test
def what_if_remove_takes_all_below():
    g = groups(port("00:1c.0", "01") + endpoint("01:00.0") + endpoint("00:02.0"),
               "--what-if", "remove 00:1c.0")
    assert list(g) == ["0000:00:02.0"]


@test
def explain_names_the_weak_link():
    p = run(port("00:1c.0", "01", acs=False) + endpoint("01:00.0"), "--explain", "01:00.0")
    assert p.returncode == 0 and "no ACS on 0000:00:1c.0" in p.stdout


@test
def passthrough_lists_companions():
    p = run(port("00:1c.0", "01") + endpoint("01:00.0") + endpoint("01:00.1"),
            "--passthrough", "01:00.0")
    assert p.returncode == 0 and "0000:01:00.1" in p.stdout


@test
def unknown_device_is_an_error():
    assert run(endpoint("01:00.0"), "--explain", "05:00.0").returncode == 1


@test
def no_functions_is_an_error():
    for source in ("--lspci", "--dmesg"):
        p = run("hello\nworld\n", source=source)
        assert p.returncode == 1 and "no PCI function" in p.stderr


@test
def same_function_twice_is_an_error():
    p = run(endpoint("01:00.0") + endpoint("01:00.0"))
    assert p.returncode == 1 and p.stderr.startswith("standard input:4:") and "on line 1" in p.stderr


@test
def list_of_machines_is_one_line_each():
    with tempfile.TemporaryDirectory() as d:
        for name in "ab":
            with open(os.path.join(d, name), "w") as f:
                f.write(endpoint("01:00.0"))
        text = f"{d}/a\n{d}/b\n" * 20
        p = subprocess.run([moat, "groups", "--list", "-", "--jobs", "2", "--format",
                            "ndjson"], input=text, capture_output=True, text=True)
        lines = p.stdout.splitlines()
        assert p.returncode == 0 and len(lines) == 40
        assert {json.loads(line)["groups"] for line in lines} == {1}


@test
def copy_of_sysfs_is_read():
    with tempfile.TemporaryDirectory() as d:
        dev = os.path.join(d, "bus/pci/devices/0000:00:02.0")
        os.makedirs(dev)
        with open(os.path.join(dev, "config"), "wb") as f:
            f.write(bytes([0x36, 0x1b, 0x10, 0]) + bytes(60))
        os.symlink("../../../kernel/iommu_groups/7", os.path.join(dev, "iommu_group"))
        p = subprocess.run([moat, "groups", "--sysfs", d, "--format", "json"],
                           capture_output=True, text=True)
        device = json.loads(p.stdout)["devices"][0]
        assert device["vendor"] == "1b36" and device["kernel_group"] == 7


print(f"1..{len(tests)}")
for n, fn in enumerate(tests, 1):
    try:
        fn()
        print(f"ok {n} - {fn.__name__}")
    except Exception as e:  # a test that dies is one that fails
        print(f"not ok {n} - {fn.__name__}: {type(e).__name__} {e}")
