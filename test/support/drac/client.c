/*
 * client HOST udp|tcp ADDRESS...: tells the DRAC server of the host of each address, over one handle for each version, and prints
 * the status that it answers.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drac.h"

static CLIENT *handle(const char *host, unsigned long version, const char *transport)
{
	static CLIENT *handles[3];

	if (handles[version] == NULL)
		handles[version] = clnt_create(host, DRAC, version, transport);
	if (handles[version] == NULL) {
		clnt_pcreateerror(host);
		exit(2);
	}
	return handles[version];
}

static drac_status *add(const char *host, const char *transport, const char *text)
{
	drac_ipv4 four;
	drac_ipv6 six;
	struct in_addr address;
	CLIENT *server;
	drac_status *status;

	if (inet_pton(AF_INET, text, &address) == 1) {
		four.address = ntohl(address.s_addr);
		server = handle(host, DRAC_IPV4, transport);
		status = drac_add_1(&four, server);
	} else if (inet_pton(AF_INET6, text, six.address) == 1) {
		server = handle(host, DRAC_IPV6, transport);
		status = drac_add_2(&six, server);
	} else {
		fprintf(stderr, "%s: no address\n", text);
		exit(64);
	}
	if (status == NULL) {
		clnt_perror(server, host);
		exit(1);
	}
	return status;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	for (int i = 3; i < argc; i++)
		printf("%d\n", *add(argv[1], argv[2], argv[i]));
	return 0;
}
