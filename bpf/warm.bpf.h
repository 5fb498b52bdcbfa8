/* Touches the output ring before anybody has to wait for it. On a virtual machine the first access to a
 * page by an address of its own may end in the hypervisor: 12 to 18 us a page were seen, paid by the
 * container whose write comes there first. */
#pragma once

#include "maps.bpf.h"

enum {
	WARM_PAGE = 4096,
};

static long warm_page(u32 i, u64 *base)
{
	u64 word;

	bpf_probe_read_kernel(&word, sizeof(word), (void *)(*base + (u64)i * WARM_PAGE));
	return 0;
}

/* One part of the ring, which user space names: the whole would keep a processor for too long. */
SEC("iter/bpf_map")
int warm(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct bpf_ringbuf *ring;
	u64 base;

	if (!map || map->id != warm_map)
		return 0;
	ring = BPF_CORE_READ((struct bpf_ringbuf_map *)map, rb);
	base = (u64)ring + bpf_core_field_offset(struct bpf_ringbuf, data) + warm_from;
	bpf_loop(warm_pages, warm_page, &base, 0);
	return 0;
}
