/* Preloaded into a program, this sets its wall clock back by an hour during its second sleep. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/select.h>
#include <sys/time.h>

static int sleeps;

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    int (*real)(struct timeval *, void *) = dlsym(RTLD_NEXT, "gettimeofday");
    int status = real(time, zone);

    if (sleeps >= 2)
        time->tv_sec -= 3600;
    return status;
}

int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
            const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
    int (*real)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *) =
        dlsym(RTLD_NEXT, "pselect");
    int status = real(count, in, out, except, timeout, mask);

    sleeps++;
    return status;
}
