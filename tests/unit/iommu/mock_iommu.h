/* SPDX-License-Identifier: MIT */
/*
 * An IOMMU driver without hardware for tests of the core, and devices behind it. Each
 * mock device knows what its DMA really goes through (what attach_dev() last said), so
 * a test can compare the core's idea with it. A paging domain is a flat array of pages
 * that refuses what hardware would refuse. Any attach can be made to fail.
 */
#ifndef MOAT_TESTS_MOCK_IOMMU_H
#define MOAT_TESTS_MOCK_IOMMU_H

#include "iommu/iommu.h"
#include "machine/machine.h"

#define MOCK_APERTURE_PAGES 1024
#define MOCK_APERTURE	    (MOCK_APERTURE_PAGES * PAGE_SIZE)
#define MOCK_MAX_PASIDS	    8
#define MOCK_MAX_RESV	    4

/* One flavour of driver: which ops it has. */
enum mock_kind {
	MOCK_FULL,  /* static identity and blocked domains, release domain */
	MOCK_PLAIN, /* paging domains only; blocking is an empty one */
	MOCK_NR_KINDS,
};

struct mock_resv {
	u64 start, length;
	enum iommu_resv_type type;
};

struct mock_dev {
	struct device dev;
	struct mock_iommu *behind; /* NULL: no IOMMU */
	int group_key; /* devices with the same key share a group; -1: alone */
	int def_type;
	bool deferred;
	bool no_deferred_flush;
	struct mock_resv resv[MOCK_MAX_RESV];
	unsigned nr_resv;
	/* What the hardware does. */
	struct iommu_domain *attached; /* NULL: never attached */
	struct iommu_domain *pasids[MOCK_MAX_PASIDS];
	bool probed;
	unsigned nr_attach, nr_finalize;
	/* Its driver's view. */
	int probe_result;
	unsigned nr_probe, nr_remove;
	bool held; /* user space has it open: remove_begin() waits */
	bool released;
	bool ids_match; /* the "native" driver knows it */
};
#define to_mock_dev(d) container_of(d, struct mock_dev, dev)

struct mock_iommu {
	struct iommu_device iommu;
	const struct iommu_ops *ops;
	/* Attaches (of any kind) until one fails, from 1; 0: none does. */
	unsigned fail_attach_in;
	bool fail_attach_always; /* every one but of the blocked domain */
	int fail_errno;
	bool fail_map;
	unsigned nr_devices, nr_domains;
	unsigned nr_release_attach;
};

struct mock_domain {
	struct iommu_domain domain;
	struct mock_iommu *mock;
	/* Physical address | size's log2 of the page that each 4 KiB belongs to; 0: none.
	 */
	u64 pages[MOCK_APERTURE_PAGES];
	unsigned nr_map, nr_unmap, nr_sync, nr_sync_map;
	u64 synced_start, synced_end;
	bool dirty_tracking, coherent;
	unsigned nr_attached; /* devices and PASIDs */
};
#define to_mock_domain(d) container_of(d, struct mock_domain, domain)

struct mock_machine {
	struct machine *m;
	struct bus *bus;
	struct device_driver native;  /* uses the DMA API; matches ids_match */
	struct device_driver generic; /* driver_managed_dma; by override only */
};

extern struct iommu_domain mock_identity_domain, mock_blocked_domain;
extern const struct bus_type mock_bus_type;

int mock_machine_create(struct mock_machine *mm, const char *cmdline);
/* Unregisters the drivers if they are registered. */
void mock_machine_destroy(struct mock_machine *mm);
int mock_register_drivers(struct mock_machine *mm);

const struct iommu_ops *mock_ops(enum mock_kind kind);
int mock_iommu_register(struct mock_machine *mm, struct mock_iommu *mock,
			enum mock_kind kind);

/* A device that is not added yet; freed with its last reference. NULL: no memory. */
struct mock_dev *mock_dev_alloc(struct mock_machine *mm, const char *name);
void mock_dev_remove(struct mock_dev *md);

/* What the device's DMA to @iova reaches: 0 nothing. */
phys_addr_t mock_translate(const struct mock_dev *md, iova_t iova);

#endif
