/* SPDX-License-Identifier: MIT */
/*
 * vfio-pci: what its files share. One file a concept: pci_driver.c (bind and unbind),
 * pci_device.c (open and close, power), pci_info.c (what it says of itself), pci_config.c
 * with pci_perms.c and pci_caps.c (configuration space), pci_rdwr.c (regions),
 * pci_intrs.c with pci_intx.c (interrupts), pci_reset.c, pci_feature.c, pci_dmabuf.c,
 * pci_token.c. Source of behaviour throughout: drivers/vfio/pci/.
 */
#ifndef MOAT_VFIO_PCI_PRIV_H
#define MOAT_VFIO_PCI_PRIV_H

#include "pci/pci.h"
#include "vfio/eventfd.h"
#include "vfio/priv.h"

#define VFIO_PCI_IOEVENTFD_MAX 1000
#define VFIO_PERM_BYTES	       64 /* the longest capability that has masks */

struct vfio_pci_core_device;

/*
 * How a capability is seen: bits in virt come from (and go to) vconfig, the others from
 * hardware; bits not in write are read-only. writefn NULL: writes are dropped.
 */
struct perm_bits {
	u8 virt[VFIO_PERM_BYTES];
	u8 write[VFIO_PERM_BYTES];
	int (*readfn)(struct vfio_pci_core_device *vdev, int pos, int count,
		      const struct perm_bits *perm, int offset, u32 *val);
	int (*writefn)(struct vfio_pci_core_device *vdev, int pos, int count,
		       const struct perm_bits *perm, int offset, u32 val);
};

/* Values of pci_config_map that are no capability. */
#define VFIO_CAP_BASIC	 0
#define VFIO_CAP_INVALID 0xff

/*
 * One vector of MSI or MSI-X. An MSI that comes while nobody listens is kept (once)
 * where Linux keeps it: before the first consumer, because the irq exists already, and
 * later where it can be masked in the device.
 */
struct vfio_pci_irq_ctx {
	u32 irq;     /* 0: none (MSI-X without a consumer) */
	int trigger; /* eventfd, -1: none */
	bool keeps;  /* MSI: what comes without a consumer */
	bool pending;
};

struct vfio_pci_intx {
	u32 irq;
	int trigger; /* eventfd, -1: none */
	bool masked;
	struct vfio_virqfd *unmask;
};

struct vfio_pci_ioeventfd {
	struct list_head next;
	struct vfio_pci_core_device *vdev;
	struct vfio_virqfd *virqfd;
	u64 data, pos;
	unsigned bar, count; /* bytes */
};

/* A physical function's secret, by which its virtual functions are opened. */
struct vfio_pci_vf_token {
	u8 uuid[16];
	unsigned users;
};

struct vfio_pci_core_device {
	struct vfio_device vdev;
	struct pci_dev *pdev;

	u8 *pci_config_map; /* which capability a byte belongs to */
	u8 *vconfig;
	struct perm_bits *msi_perm; /* its length differs */
	u32 rbar[7];		    /* BARs and ROM as they were at open */
	bool bar_mmap_supported[6];
	bool extended_caps, bardirty;

	bool pci_2_3;	    /* INTx can be masked in the device */
	bool nointx;	    /* its INTx is broken */
	bool virq_disabled; /* the program set PCI_COMMAND_INTX_DISABLE */
	bool reset_works, needs_reset;
	u8 msix_bar; /* 0xff: no MSI-X */
	u8 msi_qmax;
	u32 msix_offset, msix_size;
	struct pci_saved_state *pci_saved_state; /* at open */
	struct pci_saved_state *pm_save;
	bool needs_pm_restore;

	/* DEVICE_FEATURE_LOW_POWER_*: asked for, and reached. */
	bool pm_runtime_engaged, pm_suspended, pm_intx_masked;
	int pm_wake_eventfd;

	enum vfio_pci_irq irq_type; /* VFIO_PCI_NUM_IRQS: none is set up */
	struct vfio_pci_intx intx;
	struct vfio_pci_irq_ctx
		*vectors; /* all that the device has, while MSI(-X) is set up */
	unsigned nr_vectors;
	unsigned nr_msi; /* MSI: how many are enabled, each with its irq */
	bool msi_maskable;
	int err_trigger, req_trigger;

	struct list_head ioeventfds;
	unsigned ioeventfds_nr;
	struct list_head dmabufs;

	struct vfio_pci_vf_token *vf_token;		/* of a physical function */
	struct vfio_pci_core_device *sriov_pf_core_dev; /* of a virtual one */
	struct list_head sriov_pfs_item;
	struct device_notifier nb;
};

#define to_vfio_pci(v) container_of(v, struct vfio_pci_core_device, vdev)

static inline struct machine *vfio_pci_machine(struct vfio_pci_core_device *vdev)
{
	return vdev->vdev.core->machine;
}

static inline u16 vconfig_word(const struct vfio_pci_core_device *vdev, unsigned at)
{
	return (u16)(vdev->vconfig[at] | vdev->vconfig[at + 1] << 8);
}

static inline void vconfig_set_word(struct vfio_pci_core_device *vdev, unsigned at,
				    u16 val)
{
	vdev->vconfig[at] = (u8)val;
	vdev->vconfig[at + 1] = (u8)(val >> 8);
}

/* pci_device.c */
int vfio_pci_open_device(struct vfio_device *core_vdev);
void vfio_pci_close_device(struct vfio_device *core_vdev);
int vfio_pci_set_power_state(struct vfio_pci_core_device *vdev, int state);
void vfio_pci_probe_power_state(struct vfio_pci_core_device *vdev);
void vfio_pci_pm_get(struct vfio_device *core_vdev);
void vfio_pci_pm_put(struct vfio_device *core_vdev);
/* Also what an access to registers asks: memory is decoded as the program sees it. */
bool vfio_pci_memory_enabled(const struct vfio_pci_core_device *vdev);

/* pci_info.c */
long vfio_pci_ioctl_get_info(struct vfio_pci_core_device *vdev, struct call *call,
			     u64 arg);
int vfio_pci_get_region_info(struct vfio_device *core_vdev, struct vfio_region_info *info,
			     struct vfio_info_cap *caps);
long vfio_pci_ioctl_get_irq_info(struct vfio_pci_core_device *vdev, struct call *call,
				 u64 arg);
u32 vfio_pci_irq_count(struct vfio_pci_core_device *vdev, u32 index);

/* pci_config.c */
int __must_check vfio_config_init(struct vfio_pci_core_device *vdev);
void vfio_config_free(struct vfio_pci_core_device *vdev);
ssize_t vfio_pci_config_rw(struct vfio_pci_core_device *vdev, struct call *call, u64 ubuf,
			   size_t count, u64 pos, bool write);
int vfio_user_config_read(struct vfio_pci_core_device *vdev, int pos, u32 *val,
			  int count);
int vfio_user_config_write(struct vfio_pci_core_device *vdev, int pos, u32 val,
			   int count);

/* pci_caps.c: fills vconfig and the map. */
int __must_check vfio_cap_init(struct vfio_pci_core_device *vdev);
int __must_check vfio_ecap_init(struct vfio_pci_core_device *vdev);
int vfio_fill_vconfig(struct vfio_pci_core_device *vdev, unsigned offset, unsigned size);

/* pci_perms.c */
const struct perm_bits *vfio_perms_of(struct vfio_pci_core_device *vdev, unsigned pos);
int __must_check vfio_msi_perm_init(struct vfio_pci_core_device *vdev, u16 flags);
void vfio_init_perm_bits(void);
/* Where the capability that @pos lies in begins. */
int vfio_find_cap_start(struct vfio_pci_core_device *vdev, int pos);
int vfio_default_config_read(struct vfio_pci_core_device *vdev, int pos, int count,
			     const struct perm_bits *perm, int offset, u32 *val);
int vfio_default_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			      const struct perm_bits *perm, int offset, u32 val);

/* pci_basic.c: the header, whose BARs and command register are special. */
int vfio_basic_config_read(struct vfio_pci_core_device *vdev, int pos, int count,
			   const struct perm_bits *perm, int offset, u32 *val);
int vfio_basic_config_write(struct vfio_pci_core_device *vdev, int pos, int count,
			    const struct perm_bits *perm, int offset, u32 val);

/* pci_rdwr.c */
ssize_t vfio_pci_read(struct vfio_device *core_vdev, struct call *call, u64 ubuf,
		      size_t len, u64 pos);
ssize_t vfio_pci_write(struct vfio_device *core_vdev, struct call *call, u64 ubuf,
		       size_t len, u64 pos);
int vfio_pci_mmap(struct vfio_device *core_vdev, struct mmap_request *req);
void vfio_pci_probe_mmaps(struct vfio_pci_core_device *vdev);
long vfio_pci_ioctl_ioeventfd(struct vfio_pci_core_device *vdev, struct call *call,
			      u64 arg);
void vfio_pci_ioeventfd_remove_all(struct vfio_pci_core_device *vdev);

/* pci_intrs.c */
long vfio_pci_ioctl_set_irqs(struct vfio_pci_core_device *vdev, struct call *call,
			     u64 arg);
/* What SET_IRQS with no data and no vectors does for whatever is set up. */
void vfio_pci_disable_irqs(struct vfio_pci_core_device *vdev);

/* pci_intx.c */
struct vfio_irq_data {
	u32 flags, start, count;
	const u8 *data; /* bools or s32 descriptors */
};
long vfio_pci_set_intx(struct vfio_pci_core_device *vdev, struct call *call,
		       const struct vfio_irq_data *irq);
void vfio_pci_intx_disable(struct vfio_pci_core_device *vdev);
/* True: it was not masked before. */
bool vfio_pci_intx_mask(struct vfio_pci_core_device *vdev);
void vfio_pci_intx_unmask(struct vfio_pci_core_device *vdev);

/* pci_reset.c */
long vfio_pci_ioctl_reset(struct vfio_pci_core_device *vdev);
long vfio_pci_ioctl_hot_reset_info(struct vfio_pci_core_device *vdev, struct call *call,
				   u64 arg);
long vfio_pci_ioctl_hot_reset(struct vfio_pci_core_device *vdev, struct call *call,
			      u64 arg);
void vfio_pci_dev_set_try_reset(struct vfio_device_set *set);

/* pci_feature.c */
long vfio_pci_feature(struct vfio_device *core_vdev, struct call *call, u32 flags,
		      u64 arg, size_t argsz);
void vfio_pci_runtime_pm_exit(struct vfio_pci_core_device *vdev);

/* pci_dmabuf.c */
long vfio_pci_feature_dma_buf(struct vfio_pci_core_device *vdev, struct call *call,
			      u32 flags, u64 arg, size_t argsz);
/* The device's memory can (not) be reached from now on. */
void vfio_pci_dma_buf_move(struct vfio_pci_core_device *vdev, bool revoked);
void vfio_pci_dma_buf_cleanup(struct vfio_pci_core_device *vdev);

/* pci_token.c */
int __must_check vfio_pci_vf_init(struct vfio_pci_core_device *vdev);
void vfio_pci_vf_uninit(struct vfio_pci_core_device *vdev);
int vfio_pci_match(struct vfio_device *core_vdev, const char *buf);
int vfio_pci_match_token_uuid(struct vfio_device *core_vdev, const u8 *uuid);
long vfio_pci_feature_token(struct vfio_pci_core_device *vdev, struct call *call,
			    u32 flags, u64 arg, size_t argsz);

#endif
