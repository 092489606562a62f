/* What a block of path `chip` keeps in shared memory, and what its threads are. */
#ifndef ESC_CHIP_BLOCK_CUH
#define ESC_CHIP_BLOCK_CUH

#include "chip_product.cuh"

/* Shared memory, in this order; doubles first. L layers, N wide. */
struct esc_chip_block {
  double *row;               /* (N) squares of a gradient's rows */
  double *deficit;           /* (L) the ledger's sums over tiles */
  double *gradient2;         /* (L) */
  double *loss;              /* (ESC_PARTS) parts of the minibatch's loss */
  unsigned long long *count; /* moved, lost */
  float *w;                  /* (L - 1, N, pitch) */
  float *w_out;              /* (N) the output layer's */
  float *x;                  /* (N, row) inputs of the tile; rows beyond d are 0 */
  float *z;                  /* (L - 1, N, row) pre-activations, in the backward pass values */
  float *carry, *spare;      /* (N, row) values going up; deltas going down; sums of chains */
  float *value;              /* (ESC_TILE) loss of each sample */
  float *error;              /* (ESC_TILE) dloss/df / B */
  float *feature;            /* (interface, 2 N) a tile's ledger terms, P::terms of them */
  int *go;
};

template <class T>
static __device__ __forceinline__ T *esc_take(char **at, size_t count) {
  T *p = reinterpret_cast<T *>(*at);
  *at += count * sizeof(T);
  return p;
}

static __host__ __device__ inline size_t esc_chip_bytes(int layers, int width) {
  const size_t l = (size_t)layers, n = (size_t)width, row = (size_t)ESC_CHIP_ROW;
  return sizeof(double) * (n + 2 * l + ESC_PARTS + 2) +
         sizeof(float) *
             ((l - 1) * n * (n + 4) + n + (l + 2) * n * row + 2 * ESC_TILE + (l - 1) * 2 * n + 4);
}

template <int N>
static __device__ __forceinline__ esc_chip_block esc_chip_layout(void *shared, int layers) {
  const size_t l = (size_t)layers, tile = (size_t)N * ESC_CHIP_ROW;
  char *at = static_cast<char *>(shared);
  esc_chip_block b;
  b.row = esc_take<double>(&at, N);
  b.deficit = esc_take<double>(&at, l);
  b.gradient2 = esc_take<double>(&at, l);
  b.loss = esc_take<double>(&at, ESC_PARTS);
  b.count = esc_take<unsigned long long>(&at, 2);
  b.w = esc_take<float>(&at, (l - 1) * N * esc_chip<N>::pitch);
  b.w_out = esc_take<float>(&at, N);
  b.x = esc_take<float>(&at, tile);
  b.z = esc_take<float>(&at, (l - 1) * tile);
  b.carry = esc_take<float>(&at, tile);
  b.spare = esc_take<float>(&at, tile);
  b.value = esc_take<float>(&at, ESC_TILE);
  b.error = esc_take<float>(&at, ESC_TILE);
  b.feature = esc_take<float>(&at, (l - 1) * 2 * N);
  b.go = esc_take<int>(&at, 1);
  return b;
}

/* A thread of a block whose products are P's. */
template <class P>
struct esc_chip_thread {
  int id, group, lane; /* ESC_PARTS lanes a group */
  typename P::seat seat;
  int moved, lost;
  float output[1]; /* this thread's chain of the output layer's gradient */
};

template <class P>
static __device__ __forceinline__ esc_chip_thread<P> esc_chip_self(int id) {
  esc_chip_thread<P> t;
  t.id = id;
  t.group = id / ESC_PARTS;
  t.lane = id % ESC_PARTS;
  t.seat = P::take(id);
  t.moved = t.lost = 0;
  t.output[0] = 0;
  return t;
}

#endif
