/* SPDX-License-Identifier: MIT */
/*
 * The machine server: it listens on a socket in a directory of its own, keeps the
 * machine's open files, and shows the machine in a tree of files (sysfs.h). One
 * thread does everything. A server has one machine; it does not own it.
 */
#ifndef MOAT_SERVER_SERVER_H
#define MOAT_SERVER_SERVER_H

#include "base/err.h"
#include "base/types.h"
#include "server/wire.h"

struct loop;
struct machine;
struct report;
struct server;

/**
 * server_create - listen for programs.
 * @m: the machine, started (its devices and device nodes may change later)
 * @own_mounts: this process has a mount namespace of its own
 *
 * Makes a private directory with the socket and the frame of the tree, and sets
 * m->hw.ops. With @own_mounts the directory is a file system that ends with us.
 *
 * Return: 0, -ENOMEM, or what the system said.
 */
int __must_check server_create(struct machine *m, bool own_mounts, struct server **out);
/* Fills the tree, and keeps it up to date from now on. Before a program looks. */
void server_populate(struct server *s);
/* Closes what is still open and removes the directory. */
void server_destroy(struct server *s);

struct loop *server_loop(struct server *s);
const char *server_socket(const struct server *s); /* for WIRE_ENV_SOCKET */
const char *server_root(const struct server *s);   /* for WIRE_ENV_ROOT */
void server_set_report(struct server *s, struct report *r);
void server_counts(struct server *s, struct wire_counts *out);
/* Handle what programs that are gone have left: to be called when the last has ended. */
void server_drain(struct server *s);
/* Processes and files that are connected. */
bool server_is_idle(const struct server *s);

/* Who is called when a unit wants its driver to look at its registers. */
void server_set_unit_event(struct server *s, void (*fn)(struct machine *m, u32 unit));

#endif
