/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs: recorded work with its recorded arguments, for repeated launches. */
#include <algorithm>

#include "call.h"
#include "live.h"
#include "order.h"
#include "stream.h"

struct CUgraph_st {
  esc_simt::Nodes nodes;
};

struct CUgraphExec_st {
  std::shared_ptr<const esc_simt::Nodes> nodes; /* shared by queued launches */
};

namespace esc_simt {
namespace {

/* Removes and returns one of the nodes that are ready. */
size_t take(std::vector<size_t> *ready) {
  const size_t last = ready->size() - 1;
  if (order() == Order::forward) {
    std::swap(*std::min_element(ready->begin(), ready->end()), (*ready)[last]);
  } else if (order() == Order::shuffled) {
    std::swap((*ready)[order_random(ready->size())], (*ready)[last]);
  }
  const size_t node = ready->back();
  ready->pop_back();
  return node;
}

} /* namespace */

void graph_run(const Nodes &nodes) {
  std::vector<size_t> missing(nodes.size()), ready;
  std::vector<std::vector<size_t>> then(nodes.size());
  for (size_t i = 0; i < nodes.size(); i++) {
    missing[i] = nodes[i].after.size();
    for (const size_t before : nodes[i].after) then[before].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    const size_t node = take(&ready);
    nodes[node].work();
    for (const size_t next : then[node]) {
      if (--missing[next] == 0) ready.push_back(next);
    }
  }
}

cudaGraph_t graph_create(Nodes nodes) {
  auto *graph = new CUgraph_st{std::move(nodes)};
  live_add(Kind::graph, graph);
  return graph;
}

} /* namespace esc_simt */

using namespace esc_simt;

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *pGraphExec, cudaGraph_t graph,
                                 unsigned long long flags) {
  return call([&] {
    if (pGraphExec == nullptr || flags != 0) return cudaErrorInvalidValue;
    if (!live_has(Kind::graph, graph)) return cudaErrorInvalidValue;
    *pGraphExec = new CUgraphExec_st{std::make_shared<const Nodes>(graph->nodes)};
    live_add(Kind::executable_graph, *pGraphExec);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graphExec, cudaStream_t handle) {
  return call([&] {
    CUstream_st *stream = stream_find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (!live_has(Kind::executable_graph, graphExec)) return cudaErrorInvalidValue;
    return stream_enqueue(stream, [nodes = graphExec->nodes] { graph_run(*nodes); });
  });
}

/* If `nodes` is NULL only the count is returned. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *numNodes) {
  return call([&] {
    if (!live_has(Kind::graph, graph) || numNodes == nullptr) return cudaErrorInvalidValue;
    const size_t count = graph->nodes.size();
    if (nodes != nullptr) {
      for (size_t i = 0; i < *numNodes; i++) {
        nodes[i] = i < count ? reinterpret_cast<cudaGraphNode_t>(&graph->nodes[i]) : nullptr;
      }
    }
    *numNodes = nodes != nullptr ? std::min(*numNodes, count) : count;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graphExec) {
  return call_releasing([&] {
    if (!live_remove(Kind::executable_graph, graphExec)) return cudaErrorInvalidValue;
    delete graphExec;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call_releasing([&] {
    if (!live_remove(Kind::graph, graph)) return cudaErrorInvalidValue;
    delete graph;
    return cudaSuccess;
  });
}
