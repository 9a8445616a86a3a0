// SPDX-License-Identifier: MIT
/*
 * See host_dma.h. Registers as in QEMU's docs/specs/edu.rst and in the I/OAT chapters of
 * the Xeon datasheets (endpoints/ioat/regs.h); the self-tests are what Linux's ioatdma
 * does at probe: copy a known pattern and compare.
 */
#define LOG_SUBSYSTEM "host"
#include "server/host_dma.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "dma/mapping.h"
#include "endpoints/ioat/regs.h"
#include "machine/dma.h"
#include "machine/endpoint.h"
#include "machine/machine.h"
#include "pci/pci.h"

#define TEST_SIZE 1024

/* Turns of the engine, a tenth of a millisecond apart, before a device has failed. */
#define POLL_TURNS 2000

struct host_dma {
	struct machine *m;
	struct pci_driver edu, ioat;
	bool edu_registered, ioat_registered;
};

static void reg_write(struct device *dev, u32 off, u64 val, unsigned size)
{
	(void)endpoint_mmio_write(&dev->machine->hw, (u32)dev->hw_function, 0, off, &val,
				  size);
}

static u64 reg_read(struct device *dev, u32 off, unsigned size)
{
	u64 val = 0;

	if (endpoint_mmio_read(&dev->machine->hw, (u32)dev->hw_function, 0, off, &val,
			       size))
		return ~0ULL;
	return val;
}

/* Whether @done comes true while the device works. */
static bool poll(struct device *dev, bool (*done)(struct device *dev, void *data),
		 void *data)
{
	for (unsigned i = 0; i < POLL_TURNS; i++) {
		if (done(dev, data))
			return true;
		(void)endpoint_run(&dev->machine->hw, (u32)dev->hw_function,
				   ENDPOINT_ENGINE_BUDGET);
		if (done(dev, data))
			return true;
		usleep(100);
	}
	return false;
}

/* A page, its first half to be sent, the other to be received into. */
static u8 *pattern_page(struct device *dev, phys_addr_t *phys)
{
	u8 *page;

	if (ram_alloc_pages(dev->machine, 0, phys))
		return NULL;
	page = ram_ptr(&dev->machine->hw, *phys, PAGE_SIZE);
	for (unsigned i = 0; i < TEST_SIZE; i++)
		page[i] = (u8)(i * 7 + 1);
	return page;
}

static bool pattern_arrived(const u8 *page)
{
	return !memcmp(page, page + PAGE_SIZE / 2, TEST_SIZE);
}

static int device_start(struct pci_dev *pdev, u64 mask)
{
	int ret;

	if (pdev->dev.hw_function < 0)
		return -ENODEV;
	ret = pci_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, mask);
	if (ret) {
		pci_disable_device(pdev);
		return ret;
	}
	pci_set_master(pdev);
	return 0;
}

static void device_stop(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
	pci_disable_device(pdev);
}

/* --- edu ------------------------------------------------------------------------------
 */

#define EDU_ID	      0x00
#define EDU_DMA_SRC   0x80
#define EDU_DMA_DST   0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD   0x98
#define EDU_CMD_RUN   BIT_ULL(0)
#define EDU_CMD_OUT   BIT_ULL(1) /* from the device's buffer to memory */
#define EDU_BUFFER    0x40000

static bool edu_idle(struct device *dev, void *data)
{
	return !(reg_read(dev, EDU_DMA_CMD, 8) & EDU_CMD_RUN);
}

static int edu_transfer(struct device *dev, void *mem, enum dma_data_direction dir)
{
	dma_addr_t addr = dma_map_single(dev, mem, TEST_SIZE, dir);
	bool out = dir == DMA_FROM_DEVICE;
	int ret = 0;

	if (dma_mapping_error(dev, addr))
		return -ENOMEM;
	reg_write(dev, EDU_DMA_SRC, out ? EDU_BUFFER : addr, 8);
	reg_write(dev, EDU_DMA_DST, out ? addr : EDU_BUFFER, 8);
	reg_write(dev, EDU_DMA_COUNT, TEST_SIZE, 8);
	reg_write(dev, EDU_DMA_CMD, EDU_CMD_RUN | (out ? EDU_CMD_OUT : 0), 8);
	if (!poll(dev, edu_idle, NULL))
		ret = -EIO;
	dma_unmap_single(dev, addr, TEST_SIZE, dir);
	return ret;
}

static int edu_self_test(struct device *dev)
{
	phys_addr_t phys;
	u8 *page;
	int ret;

	if ((reg_read(dev, EDU_ID, 4) & 0xff) != 0xed)
		return -ENODEV;
	page = pattern_page(dev, &phys);
	if (!page)
		return -ENOMEM;
	ret = edu_transfer(dev, page, DMA_TO_DEVICE);
	if (!ret)
		ret = edu_transfer(dev, page + PAGE_SIZE / 2, DMA_FROM_DEVICE);
	if (!ret && !pattern_arrived(page))
		ret = -EIO;
	ram_free_pages(dev->machine, phys, 0);
	return ret;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = device_start(pdev, DMA_BIT_MASK(28));

	if (ret)
		return ret;
	ret = edu_self_test(&pdev->dev);
	if (ret) {
		pr_err("edu %s: self-test failed: %d", pci_name(pdev), ret);
		device_stop(pdev);
	}
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	device_stop(pdev);
}

/* --- ioatdma --------------------------------------------------------------------------
 */

struct ioat {
	/* Both for the device: a ring of one descriptor, where it tells of completion. */
	struct ioat_descriptor *ring;
	u64 *completion;
	dma_addr_t ring_addr, completion_addr;
};

static void ioat_free(struct device *dev, struct ioat *ioat)
{
	reg_write(dev, IOAT_CHANCMD, CHANCMD_RESET, 1);
	if (ioat->ring)
		dma_free_coherent(dev, sizeof(*ioat->ring), ioat->ring, ioat->ring_addr);
	if (ioat->completion)
		dma_free_coherent(dev, sizeof(u64), ioat->completion,
				  ioat->completion_addr);
	kfree(ioat);
}

static struct ioat *ioat_alloc(struct device *dev)
{
	struct ioat *ioat = kzalloc(sizeof(*ioat));

	if (!ioat)
		return NULL;
	ioat->ring = dma_alloc_coherent(dev, sizeof(*ioat->ring), &ioat->ring_addr);
	ioat->completion = dma_alloc_coherent(dev, sizeof(u64), &ioat->completion_addr);
	if (ioat->ring && ioat->completion)
		return ioat;
	ioat_free(dev, ioat);
	return NULL;
}

static void reg_write_pair(struct device *dev, u32 off, u64 val)
{
	reg_write(dev, off, (u32)val, 4);
	reg_write(dev, off + 4, val >> 32, 4);
}

static bool ioat_finished(struct device *dev, void *data)
{
	struct ioat *ioat = data;
	u64 status = __atomic_load_n(ioat->completion, __ATOMIC_ACQUIRE);

	return (status & CHANSTS_ADDR_MASK) == ioat->ring_addr ||
	       reg_read(dev, IOAT_CHANERR, 4);
}

static int ioat_copy(struct device *dev, struct ioat *ioat, dma_addr_t dst,
		     dma_addr_t src)
{
	*ioat->completion = 0;
	*ioat->ring = (struct ioat_descriptor){
		.size = TEST_SIZE,
		.control = DESC_COMPLETION_UPDATE,
		.src = src,
		.dst = dst,
		.next = ioat->ring_addr,
	};
	reg_write(dev, IOAT_CHANCMD, CHANCMD_RESET, 1);
	reg_write_pair(dev, IOAT_CHANCMP, ioat->completion_addr);
	reg_write(dev, IOAT_CHANCTRL,
		  CHANCTRL_ANY_ERR_ABORT_EN | CHANCTRL_ERR_COMPLETION_EN, 2);
	reg_write_pair(dev, IOAT_CHAINADDR, ioat->ring_addr);
	reg_write(dev, IOAT_DMACOUNT, 1, 2);
	if (!poll(dev, ioat_finished, ioat) || reg_read(dev, IOAT_CHANERR, 4))
		return -EIO;
	return 0;
}

static int ioat_self_test(struct device *dev, struct ioat *ioat)
{
	dma_addr_t src, dst;
	phys_addr_t phys;
	u8 *page = pattern_page(dev, &phys);
	int ret = -ENOMEM;

	if (!page)
		return ret;
	src = dma_map_single(dev, page, TEST_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, src))
		goto out_free;
	dst = dma_map_single(dev, page + PAGE_SIZE / 2, TEST_SIZE, DMA_FROM_DEVICE);
	if (dma_mapping_error(dev, dst))
		goto out_unmap_src;
	ret = ioat_copy(dev, ioat, dst, src);
	dma_unmap_single(dev, dst, TEST_SIZE, DMA_FROM_DEVICE);
out_unmap_src:
	dma_unmap_single(dev, src, TEST_SIZE, DMA_TO_DEVICE);
	if (!ret && !pattern_arrived(page))
		ret = -EIO;
out_free:
	ram_free_pages(dev->machine, phys, 0);
	return ret;
}

static int ioat_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct ioat *ioat;
	int ret = device_start(pdev, DMA_BIT_MASK(64));

	if (ret)
		return ret;
	ioat = ioat_alloc(&pdev->dev);
	if (!ioat) {
		ret = -ENOMEM;
		goto err_stop;
	}
	ret = ioat_self_test(&pdev->dev, ioat);
	if (ret) {
		pr_err("ioatdma %s: self-test failed: %d", pci_name(pdev), ret);
		goto err_free;
	}
	pci_set_drvdata(pdev, ioat);
	return 0;

err_free:
	ioat_free(&pdev->dev, ioat);
err_stop:
	device_stop(pdev);
	return ret;
}

static void ioat_remove(struct pci_dev *pdev)
{
	ioat_free(&pdev->dev, pci_get_drvdata(pdev));
	pci_set_drvdata(pdev, NULL);
	device_stop(pdev);
}

/* ----------------------------------------------------------------------------------------
 */

/* Linux has no driver for edu, so this one waits to be named: driver_override, new_id. */
static const struct pci_device_id edu_ids[] = {{0}};
static const struct pci_device_id ioat_ids[] = {
	{.vendor = 0x8086,
	 .device = 0x2021,
	 .subvendor = PCI_ANY_ID,
	 .subdevice = PCI_ANY_ID},
	{.vendor = 0x8086,
	 .device = 0x0b00,
	 .subvendor = PCI_ANY_ID,
	 .subdevice = PCI_ANY_ID},
	{0},
};

int host_dma_register(struct machine *m, struct host_dma **out)
{
	struct host_dma *d = kzalloc(sizeof(*d));
	bool autoprobe = m->pci->bus->autoprobe;
	int err;

	if (!d)
		return -ENOMEM;
	d->m = m;
	d->edu.driver.name = "edu";
	d->edu.id_table = edu_ids;
	d->edu.probe = edu_probe;
	d->edu.remove = edu_remove;
	d->ioat.driver.name = "ioatdma";
	d->ioat.id_table = ioat_ids;
	d->ioat.probe = ioat_probe;
	d->ioat.remove = ioat_remove;
	m->pci->bus->autoprobe = false;
	err = pci_register_driver(m->pci, &d->edu);
	d->edu_registered = !err;
	if (!err) {
		err = pci_register_driver(m->pci, &d->ioat);
		d->ioat_registered = !err;
	}
	m->pci->bus->autoprobe = autoprobe;
	if (err) {
		host_dma_unregister(d);
		return err;
	}
	*out = d;
	return 0;
}

void host_dma_unregister(struct host_dma *d)
{
	if (!d)
		return;
	if (d->ioat_registered)
		pci_unregister_driver(&d->ioat);
	if (d->edu_registered)
		pci_unregister_driver(&d->edu);
	kfree(d);
}
