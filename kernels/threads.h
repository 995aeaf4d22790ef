/* Threads and where they run: the one door to OpenMP. Launches share out their work here, and so
 * does work that is no launch, such as writing weights. Refuses to know machines: which CPUs there
 * are, and in which order, the caller says. Read next: threads.c, launch.h. */
#ifndef RB_THREADS_H
#define RB_THREADS_H

/* Runs fn(thread, n_threads, arg) on threads 0 to n_threads - 1, at once, and waits for them.
 * Thread 0 is the caller; the others are the same threads each time. */
void rb_on_threads(int n_threads, void (*fn)(int thread, int n_threads, void *arg), void *arg);
int rb_max_threads(void);  /* that OpenMP would use */
int rb_thread_limit(void); /* that it would not go beyond */

/* From now on thread i runs on cpu[i % n], n > 0, until the program ends. Once, by the first
 * thread. */
void rb_pin_threads(const int *cpu, int n);
/* The CPUs that threads are bound to, by rb_pin_threads or by OpenMP (OMP_PROC_BIND, OMP_PLACES),
 * at most max in cpu; how many there are, 0: they are not bound. The calling thread itself is then
 * bound to some of them. */
int rb_bound_cpus(int *cpu, int max);

#endif
