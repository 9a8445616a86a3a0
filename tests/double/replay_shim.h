/* SPDX-License-Identifier: MIT */
/*
 * Put before tests/uapi/uapi-replay.c (-include), so that its system calls on files of
 * the machine go to the double. Child processes share nothing with the machine: scripts
 * with `fork` are not for this.
 */
#ifndef MOAT_TESTS_REPLAY_SHIM_H
#define MOAT_TESTS_REPLAY_SHIM_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int shim_open(const char *path, int flags, ...);
int shim_ioctl(int fd, unsigned long cmd, ...);
ssize_t shim_pread(int fd, void *buf, size_t len, off_t pos);
ssize_t shim_pwrite(int fd, const void *buf, size_t len, off_t pos);
ssize_t shim_read(int fd, void *buf, size_t len);
ssize_t shim_write(int fd, const void *buf, size_t len);
void *shim_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int shim_close(int fd);
int shim_dup(int fd);
int replay_main(int argc, char **argv);

#ifndef SHIM_ITSELF
#define open   shim_open
#define ioctl  shim_ioctl
#define pread  shim_pread
#define pwrite shim_pwrite
#define read   shim_read
#define write  shim_write
#define mmap   shim_mmap
#define close  shim_close
#define dup    shim_dup
#define main   replay_main
#endif

#endif
