//! Sizes are what is allocated, and impossible ones are errors.

#![allow(clippy::unwrap_used)]

use super::*;

const KINDS: [CacheType; 4] = [CacheType::F16, CacheType::Bf16, CacheType::F32, CacheType::Q8];

#[test]
fn bytes_are_what_the_pools_take() {
    for (layers, kv_heads, head_dim, blocks) in [(2, 3, 64, 5), (1, 1, 24, 7), (3, 2, 2, 1), (0, 1, 8, 4)] {
        let shape = CacheShape { layers, entry: CacheEntry::KeyValue { kv_heads, head_dim }, blocks };
        for kind in KINDS {
            let cache = Cache::new(&shape, kind).unwrap();
            let pools = cache.layers.iter().flat_map(|layer| {
                [layer.keys.len(), layer.values.len(), layer.key_scales.len(), layer.value_scales.len()]
            });
            assert_eq!(bytes(&shape, kind), Some(pools.sum::<usize>() as u64), "{shape:?} {kind:?}");
        }
    }
    let shape =
        CacheShape { layers: 16, entry: CacheEntry::KeyValue { kv_heads: 8, head_dim: 64 }, blocks: 512 };
    assert_eq!(bytes(&shape, CacheType::F16), Some(2 * 2 * 16 * 8 * 64 * 512 * 16));
}

#[test]
fn what_cannot_be_had_is_an_error() {
    for kind in KINDS {
        let huge = CacheShape {
            layers: 1,
            entry: CacheEntry::KeyValue { kv_heads: 8, head_dim: 128 },
            blocks: 1 << 45,
        };
        assert!(Cache::new(&huge, kind).is_err());
        let overflowing = CacheShape { blocks: usize::MAX / 2, ..huge };
        assert_eq!(bytes(&overflowing, kind), None);
        assert!(Cache::new(&overflowing, kind).is_err());
    }
}
