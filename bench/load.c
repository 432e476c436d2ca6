/*
 * load SOCKET CONNECTIONS ANSWERS RATE END
 *
 * Sends requests to a server on a Unix socket until it has given ANSWERS answers, over CONNECTIONS
 * connections with one request each at a time. Before that, reads the requests from stdin, each
 * with a NUL at its end; they are sent in turn, repeatedly.
 *
 * END is the end of an answer, after which the connection sends the next request. If END is empty,
 * the server closes the connection after an answer, and the next request opens a new one.
 *
 * RATE is the number of requests a second. Each is due at a moment of its own, and its time counts
 * from then, even if all connections are busy. 0: a connection sends a request as soon as it has
 * its answer.
 *
 * Writes the seconds for all answers, and the milliseconds within which 50, 95, 99 and 100 per cent
 * of the answers arrived.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct connection {
	int fd;			/* -1: not open */
	int answered;		/* bytes of END that came last */
	double due;
};

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static int epoll;

static char **requests;
static long request_count;
static long asked;

static void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "closed by the server");
	exit(74);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void read_requests(void)
{
	size_t room = 0;

	for (;;) {
		char *request = NULL;

		if (request_count % 1024 == 0)
			requests = realloc(requests, (request_count + 1024) * sizeof *requests);
		if (getdelim(&request, &room, '\0', stdin) < 0)
			break;
		requests[request_count++] = request;
		room = 0;
	}
	if (request_count == 0)
		fail("no requests");
}

static void ask(struct connection *c, double due)
{
	const char *request = requests[asked++ % request_count];
	ssize_t length = strlen(request);

	if (c->fd < 0) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

		c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
			fail(address.sun_path);
		fcntl(c->fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
	}
	c->due = due;
	c->answered = 0;
	if (write(c->fd, request, length) != length)
		fail("write");
}

/* Whether the answer is complete. */
static int is_answered(struct connection *c, const char *end)
{
	char buffer[4096];
	int length = strlen(end);
	ssize_t count = read(c->fd, buffer, sizeof buffer);

	if (count < 0)
		fail("read");
	if (length == 0) {
		if (count > 0) {
			c->answered = 1;
			return 0;
		}
		if (!c->answered)
			fail("no answer");
		close(c->fd);
		c->fd = -1;
		return 1;
	}
	if (count == 0)
		fail("no answer");
	for (ssize_t i = 0; i < count; i++)
		c->answered = buffer[i] == end[c->answered] ? c->answered + 1 : buffer[i] == end[0];
	return c->answered == length;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 64;
	long connections = atol(argv[2]), wanted = atol(argv[3]), answers = 0, idle = 0;
	double rate = atof(argv[4]) / 1e3, *times = malloc(wanted * sizeof *times);
	const char *end = argv[5];
	struct connection *all = calloc(connections, sizeof *all);
	struct connection **waiting = malloc(connections * sizeof *waiting);
	struct epoll_event events[64];

	strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	read_requests();
	for (long i = 0; i < connections; i++) {
		all[i].fd = -1;
		waiting[idle++] = &all[i];
	}

	double start = now();

	while (answers < wanted) {
		while (idle > 0 && asked < wanted) {
			double time = now(), due = rate > 0 ? start + asked / rate : time;

			if (due > time)
				break;
			ask(waiting[--idle], due);
		}
		/* with a rate it does not sleep: it has a core to itself */
		int count = epoll_wait(epoll, events, 64, rate > 0 ? 0 : -1);

		for (int i = 0; i < count; i++) {
			struct connection *c = events[i].data.ptr;

			if (!is_answered(c, end))
				continue;
			times[answers++] = now() - c->due;
			waiting[idle++] = c;
		}
	}

	double seconds = (now() - start) / 1e3;

	qsort(times, wanted, sizeof *times, compare);
	printf("%f", seconds);
	for (int i = 0; i < 4; i++) {
		static const double share[] = { 0.5, 0.95, 0.99, 1 };

		printf(" %f", times[(long)(share[i] * wanted + 0.999999) - 1]);
	}
	printf("\n");
	return 0;
}
