#!/usr/bin/python3
"""The peer of `./bench explain`: the same projection and the same neighbours with numpy and scipy.

A projection onto the convex hull of rows is non-negative least squares with one heavy row more, which makes the weights add up to 1: scipy.optimize.nnls (Lawson and Hanson's active set) on [V^T; s 1^T]. Neighbours are one
product with all rows and a partition. Norms of the rows are taken once, as on the other side; floats become doubles once.

Talks as torch_reference.py does: a line of JSON when ready, then so many repetitions a line.

usage: explain_reference.py CASE --folder FOLDER --width D --threads K
CASE is explain-projection or explain-neighbours.
"""
import argparse, os, sys

threads = sys.argv[sys.argv.index("--threads") + 1]
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = threads  # read when numpy is loaded

import numpy as np, scipy
from scipy.optimize import nnls
from turns import take_turns


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=["explain-projection", "explain-neighbours"])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    rows = np.fromfile(os.path.join(a.folder, "rows.f32"), np.float32).reshape(-1, a.width)
    queries = np.fromfile(os.path.join(a.folder, "queries.f64"), np.float64).reshape(-1, a.width)
    done = 0
    ready = {"tokens": 1, "library": f"numpy {np.__version__}, scipy {scipy.__version__}", "threads": a.threads}
    if a.case == "explain-projection":
        heavy = 1e3 * np.sqrt(np.square(rows[:1000]).sum(1).mean())
        matrix = np.asfortranarray(np.vstack([rows.T.astype(np.float64), np.full((1, len(rows)), heavy)]))
        del rows

        def project(q):
            weights, _ = nnls(matrix, np.append(q, heavy), maxiter=100 * a.width)
            return np.linalg.norm(matrix[:-1] @ (weights / weights.sum()) - q)

        residuals = [project(q) for q in queries]

        def run():
            nonlocal done
            project(queries[done % len(queries)])
            done += 1

        take_turns(run, first_loss=residuals[0], more_losses=residuals[1:], greedy_ids=[], **ready)
    else:
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)

        def nearest(q):
            distances = squares - 2 * (rows @ q.astype(np.float32)).astype(np.float64)
            some = np.argpartition(distances, 10)[:10]
            return some[np.argsort(distances[some])]

        ids = [int(i) for q in queries for i in nearest(q)]

        def run():
            nonlocal done
            nearest(queries[done % len(queries)])
            done += 1

        take_turns(run, first_loss=0.0, more_losses=[], greedy_ids=ids, **ready)


main()
