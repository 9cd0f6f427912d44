"""Newton's steps: every round the nodes' gradients and Hessians are added up; how long a round took is printed."""

import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    wanted = int(context.run_config["sites"])
    while len(nodes := list(grid.get_node_ids())) < wanted:
        time.sleep(0.1)
    weights = np.zeros(3)
    for number in range(int(context.run_config["rounds"])):
        start = time.perf_counter()
        content = RecordDict({"weights": ArrayRecord([weights]), "about": MetricRecord({"round": number})})
        asked = [Message(content=content, message_type="train", dst_node_id=node) for node in nodes]
        sums = [reply.content["sums"].to_numpy_ndarrays() for reply in grid.send_and_receive(asked)]
        if len(sums) != wanted:
            raise RuntimeError(f"{len(sums)} of {wanted} nodes answered")
        gradient, hessian = (sum(each) for each in zip(*sums, strict=True))
        weights = weights + np.linalg.solve(hessian, gradient)
        print(f"round {number}: {time.perf_counter() - start:.3f} s", flush=True)
