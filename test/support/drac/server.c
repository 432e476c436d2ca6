/*
 * server VERSIONS STATUS: a DRAC server that is registered with rpcbind for version 1, or for both. It prints the addresses that it is told
 * of, and answers them all with the status.
 */
#include <arpa/inet.h>
#include <rpc/pmap_clnt.h>
#include <stdio.h>
#include <stdlib.h>
#include "drac.h"

extern void drac_1(struct svc_req *, SVCXPRT *);
extern void drac_2(struct svc_req *, SVCXPRT *);

static drac_status status;

static drac_status *told(int family, const void *address)
{
	char text[INET6_ADDRSTRLEN];

	puts(inet_ntop(family, address, text, sizeof text));
	fflush(stdout);
	return &status;
}

drac_status *drac_add_1_svc(drac_ipv4 *argument, struct svc_req *request)
{
	struct in_addr address = { htonl(argument->address) };

	(void)request;
	return told(AF_INET, &address);
}

drac_status *drac_add_2_svc(drac_ipv6 *argument, struct svc_req *request)
{
	(void)request;
	return told(AF_INET6, argument->address);
}

int main(int argc, char **argv)
{
	int versions;

	if (argc != 3)
		return 64;
	versions = atoi(argv[1]);
	status = atoi(argv[2]);
	pmap_unset(DRAC, DRAC_IPV4);
	pmap_unset(DRAC, DRAC_IPV6);
	if (svc_create(drac_1, DRAC, DRAC_IPV4, "udp") == 0)
		return 1;
	if (versions > 1 && svc_create(drac_2, DRAC, DRAC_IPV6, "udp") == 0)
		return 1;
	puts("ready");
	fflush(stdout);
	svc_run();
	return 1;
}
