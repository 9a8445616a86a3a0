// SPDX-License-Identifier: MIT
/*
 * moat run: this process is the machine's server; the program is its child. The child
 * lays the machine's tree over /sys and /dev while this process builds it, and starts
 * the program when both are ready.
 *
 * Signals: what a terminal sends reaches the program by itself; what somebody sends to
 * this process is passed on. When the program stops for job control, this process
 * stops too, so that the shell sees a stopped job.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "cli/symbolize.h"
#include "iommufd/selftest/selftest.h"
#include "machine/machine.h"
#include "of/machine.h"
#include "server/loop.h"
#include "server/report.h"
#include "server/server.h"
#include "server/start.h"

#define LOG_SUBSYSTEM "run"
#include "base/log.h"

#define EXIT_MACHINE 125
#define EXIT_CANNOT  126
#define EXIT_MISSING 127
#define EXIT_STRICT  99

struct run {
	struct start_config config;
	char *devices[64];
	const char *report_file;
	enum report_format format;
	bool strict, verbose, no_namespace, iommufd_test;
	char **program;

	struct start start;
	struct server *server;
	struct report *report;
	int signal_fd;
	sigset_t old_mask;
	pid_t child;
	bool ended, leave;
	int status; /* of wait */
};

static int parse(struct run *r, int argc, char **argv)
{
	const char *format = NULL, *device = NULL;
	int i, ret;

	r->config.devices = r->devices;
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		const struct {
			const char *name, **value;
		} options[] = {
			{"--machine", &r->config.machine},
			{"--iommu", &r->config.iommu},
			{"--append", &r->config.append},
			{"--report", &r->report_file},
			{"--format", &format},
			{"--device", &device},
		};
		size_t k;

		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "--help")) {
			help_print("run");
			exit(0);
		}
		if (!strcmp(argv[i], "--strict")) {
			r->strict = true;
			continue;
		}
		if (!strcmp(argv[i], "--verbose")) {
			r->verbose = true;
			continue;
		}
		if (!strcmp(argv[i], "--iommufd-test")) {
			r->iommufd_test = true;
			continue;
		}
		if (!strcmp(argv[i], "--no-namespace")) {
			r->no_namespace = true;
			continue;
		}
		for (k = 0; k < ARRAY_SIZE(options); k++) {
			const char *at = argv[i];

			ret = option_value(argc, argv, &i, options[k].name,
					   options[k].value);
			if (ret < 0)
				return usage_error("run", "option '%s' needs a value",
						   at);
			if (ret)
				break;
		}
		if (k == ARRAY_SIZE(options))
			return usage_error("run", "unknown option '%s'", argv[i]);
		if (device) {
			if (r->config.nr_devices == ARRAY_SIZE(r->devices))
				return usage_error("run",
						   "more than %zu --device options",
						   ARRAY_SIZE(r->devices));
			r->devices[r->config.nr_devices++] = (char *)device;
			device = NULL;
		}
	}
	if (format) {
		if (!strcmp(format, "json"))
			r->format = REPORT_JSON;
		else if (strcmp(format, "text"))
			return usage_error("run", "--format is text or json, not '%s'",
					   format);
	}
	if (r->config.iommu) {
		size_t k;

		for (k = 0; machine_iommu_kinds[k]; k++) {
			if (!strcmp(machine_iommu_kinds[k], r->config.iommu))
				break;
		}
		if (!machine_iommu_kinds[k])
			return usage_error("run", "unknown IOMMU '%s'", r->config.iommu);
	}
	if (i >= argc)
		return usage_error("run", "no program given");
	r->program = argv + i;
	return 0;
}

/* ---- the program ---- */

/* Where the library is that goes into the program: beside us, or as installed. */
static bool find_preload(char *out, size_t size)
{
	static const char *const places[] = {"libmoat-preload.so",
					     "preload/libmoat-preload.so",
					     "../preload/libmoat-preload.so",
					     "../lib/moat/libmoat-preload.so"};
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n < 0)
		return false;
	exe[n] = 0;
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	slash[1] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s%s", exe, places[i]);
		if (access(path, R_OK) == 0 && realpath(path, out))
			return true;
	}
	return false;
}

static void env_append(const char *name, char separator, const char *value)
{
	const char *old = getenv(name);
	char *text;

	text = old && *old ? kasprintf("%s%c%s", old, separator, value) : kstrdup(value);
	if (text)
		setenv(name, text, 1);
	kfree(text);
}

static void set_environment(const struct run *r, const char *preload, bool redirect)
{
	setenv(WIRE_ENV_SOCKET, server_socket(r->server), 1);
	setenv(WIRE_ENV_ROOT, server_root(r->server), 1);
	if (redirect)
		setenv(WIRE_ENV_REDIRECT, "1", 1);
	else
		unsetenv(WIRE_ENV_REDIRECT);
	env_append("LD_PRELOAD", ':', preload);
	/* Its runtime wants to be first among libraries, and does not need to be. */
	env_append("ASAN_OPTIONS", ':', "verify_asan_link_order=0");
}

struct child_error {
	int err;
	bool exec; /* else: the namespace was refused, paths are redirected */
};

static __noreturn void child_main(struct run *r, const char *preload, int go_fd,
				  int report_fd)
{
	struct child_error ce = {0};
	char go;

	if (!r->no_namespace) {
		ce.err = namespace_overlay(server_root(r->server));
		if (ce.err) {
			/* Half a view is none: the parent starts another child without.
			 */
			if (write(report_fd, &ce, sizeof(ce)) < 0)
				_exit(EXIT_CANNOT);
			_exit(0);
		}
	}
	set_environment(r, preload, r->no_namespace);
	if (read(go_fd, &go, 1) != 1)
		_exit(EXIT_CANNOT);
	sigprocmask(SIG_SETMASK, &r->old_mask, NULL);
	execvp(r->program[0], r->program);
	ce.err = -errno;
	ce.exec = true;
	if (write(report_fd, &ce, sizeof(ce)) < 0)
		_exit(EXIT_CANNOT);
	_exit(ce.err == -ENOENT ? EXIT_MISSING : EXIT_CANNOT);
}

static bool preload_name(const struct run *r, char *out, size_t size)
{
	char *name;

	if (!find_preload(out, size)) {
		fprintf(stderr, "moat run: libmoat-preload.so is not where moat is\n");
		return false;
	}
	if (!strpbrk(out, ": \t"))
		return true;
	/* LD_PRELOAD has no way to quote them. */
	name = kasprintf("%s/libmoat-preload.so", server_root(r->server));
	if (!name || symlink(out, name) < 0) {
		kfree(name);
		return false;
	}
	snprintf(out, size, "%s", name);
	kfree(name);
	return true;
}

/*
 * Start the child, fill the tree meanwhile, let it go on. Return: 0: it runs, or has
 * said why not; -EAGAIN: without a namespace again; -errno.
 */
static int start_child(struct run *r, const char *preload, bool *populated)
{
	int go[2], back[2], ret = 0;
	struct child_error ce;

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	r->child = fork();
	if (r->child < 0)
		return -errno;
	if (!r->child) {
		close(go[1]);
		child_main(r, preload, go[0], back[1]);
	}
	close(go[0]);
	close(back[1]);
	if (!*populated)
		server_populate(r->server);
	*populated = true;
	if (write(go[1], "", 1) != 1)
		pr_debug("the child has gone");
	close(go[1]);
	while (read(back[0], &ce, sizeof(ce)) == sizeof(ce)) {
		if (ce.exec) {
			fprintf(stderr, "moat run: cannot run '%s': %s\n", r->program[0],
				strerror(-ce.err));
		} else {
			if (r->verbose)
				fprintf(stderr,
					"moat: no view of its own for the program: %s\n",
					strerror(-ce.err));
			waitpid(r->child, NULL, 0);
			ret = -EAGAIN;
		}
	}
	close(back[0]);
	return ret;
}

/* 0: it runs; else the exit status. */
static int start_program(struct run *r)
{
	char preload[PATH_MAX];
	bool populated = false;
	int ret;

	if (!preload_name(r, preload, sizeof(preload)))
		return EXIT_MACHINE;
	ret = start_child(r, preload, &populated);
	if (ret == -EAGAIN) {
		r->no_namespace = true;
		ret = start_child(r, preload, &populated);
	}
	if (!ret)
		return 0;
	fprintf(stderr, "moat run: cannot start a process: %s\n", strerror(-ret));
	return EXIT_MACHINE;
}

/* ---- waiting ---- */

static void reap(struct run *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != r->child)
			continue;
		if (!WIFSTOPPED(status)) {
			r->ended = true;
			r->status = status;
			continue;
		}
		/* Stopped for job control: so are we, until the shell goes on with both.
		 */
		if (WSTOPSIG(status) == SIGTSTP || WSTOPSIG(status) == SIGTTIN ||
		    WSTOPSIG(status) == SIGTTOU) {
			raise(SIGSTOP);
			kill(r->child, SIGCONT);
		}
	}
}

static void on_signal(void *data, u32 events)
{
	struct signalfd_siginfo si;
	struct run *r = data;

	while (read(r->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD) {
			reap(r);
			continue;
		}
		if (r->ended) {
			r->leave = true;
			continue;
		}
		/* From the terminal: the program has got it as well. */
		if (si.ssi_code == SI_KERNEL)
			continue;
		kill(r->child, (int)si.ssi_signo);
	}
}

static int catch_signals(struct run *r)
{
	static const int signals[] = {SIGCHLD, SIGINT,	SIGQUIT, SIGTERM, SIGHUP,
				      SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH,
				      SIGTSTP, SIGTTIN, SIGTTOU};
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	if (sigprocmask(SIG_BLOCK, &mask, &r->old_mask) < 0)
		return -errno;
	r->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signal_fd < 0 ? -errno : 0;
}

/* ---- the end ---- */

static int print_report(struct run *r)
{
	struct report_symbolizer *sym;
	FILE *out = stderr;

	if (report_is_empty(r->report) && !(r->report_file && r->format == REPORT_JSON))
		return 0;
	if (r->report_file) {
		out = fopen(r->report_file, "we");
		if (!out) {
			fprintf(stderr, "moat run: %s: %s\n", r->report_file,
				strerror(errno));
			return 1;
		}
	}
	sym = symbolizer_create();
	report_print(r->report, out, r->format, sym);
	symbolizer_free(sym);
	if (out != stderr)
		fclose(out);
	return 0;
}

static void say_addresses(const struct run *r)
{
	for (unsigned i = 0; i < r->config.nr_devices; i++)
		fprintf(stderr, "moat: --device %s is %s\n", r->devices[i],
			of_machine_device_address(r->start.of, i));
}

static int run_machine(struct run *r)
{
	struct watch *w;
	int ret;

	ret = start_program(r);
	if (ret)
		return ret;
	w = loop_watch(server_loop(r->server), r->signal_fd, EPOLLIN, on_signal, r);
	if (IS_ERR(w))
		return EXIT_MACHINE;
	/* What the program left running keeps its devices, so the machine stays. */
	reap(r);
	while (!r->leave && !(r->ended && server_is_idle(r->server)))
		loop_turn(server_loop(r->server), r->ended ? 100 : -1);
	server_drain(r->server);
	loop_unwatch(w);
	if (WIFSIGNALED(r->status))
		ret = 128 + WTERMSIG(r->status);
	else
		ret = WEXITSTATUS(r->status);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	struct run r = {.signal_fd = -1};
	char *error = NULL;
	int ret;

	ret = parse(&r, argc, argv);
	if (ret)
		return ret;
	if (r.verbose)
		log_set_default(LOG_WARN);
	if (!r.no_namespace) {
		ret = namespace_create();
		r.no_namespace = ret != 0;
		if (ret && r.verbose)
			fprintf(stderr, "moat: no namespace (%s), paths are redirected\n",
				strerror(-ret));
	}
	ret = machine_start(&r.config, &r.start, &error);
	if (ret) {
		if (error)
			fputs(error, stderr);
		else
			fprintf(stderr, "moat run: %s: %s\n",
				r.config.machine ? r.config.machine : "machine",
				strerror(-ret));
		free(error);
		return EXIT_MACHINE;
	}
	if (r.verbose)
		say_addresses(&r);
	ret = EXIT_MACHINE;
	if (r.iommufd_test && iommufd_selftest_enable(r.start.machine))
		goto out;
	if (report_attach(r.start.machine, &r.report) || catch_signals(&r))
		goto out;
	ret = server_create(r.start.machine, !r.no_namespace, &r.server);
	if (ret) {
		fprintf(stderr, "moat run: no place for the machine's files: %s\n",
			strerror(-ret));
		ret = EXIT_MACHINE;
		goto out;
	}
	server_set_report(r.server, r.report);
	server_set_unit_event(r.server, machine_unit_event);
	ret = run_machine(&r);
	if (print_report(&r) && !ret)
		ret = 1;
	if (!ret && r.strict && report_errors(r.report))
		ret = EXIT_STRICT;
out:
	server_destroy(r.server);
	report_free(r.report);
	machine_stop(&r.start);
	if (r.signal_fd >= 0)
		close(r.signal_fd);
	return ret;
}
