// SPDX-License-Identifier: MIT
/*
 * What it costs to start a program: `PREFIX... true` against `true` alone, run in
 * turn so that both see the same machine.
 *
 *	spawn-bench PREFIX...		for example: spawn-bench moat run --
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 30

extern char **environ;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double run(char *const *argv)
{
	double start = now_ms();
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "spawn-bench: %s failed\n", argv[0]);
		exit(1);
	}
	return now_ms() - start;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	char *alone[] = {"true", NULL};
	char **with = calloc(argc + 1, sizeof(*with));
	double a[ROUNDS], w[ROUNDS];
	int i;

	if (argc < 2 || !with)
		return 2;
	memcpy(with, argv + 1, (argc - 1) * sizeof(*with));
	with[argc - 1] = "true";
	for (i = 0; i < ROUNDS; i++) {
		a[i] = run(alone);
		w[i] = run(with);
	}
	qsort(a, ROUNDS, sizeof(*a), order);
	qsort(w, ROUNDS, sizeof(*w), order);
	printf("%-34s %11.2f ms   %-22s %11.2f ms   ratio %5.2f\n", "start-up, median",
	       w[ROUNDS / 2], "true alone", a[ROUNDS / 2], w[ROUNDS / 2] / a[ROUNDS / 2]);
	return 0;
}
