"""Benchmarks: contenders in processes of their own, timed in turn, one row each.

    machine        what the figures were measured on, and the matrix product that they are measured against
    onnx_flops     operations of a graph
    work           what a contender can do: the bundle's networks, the whole path from requests to a file, segmenting
    child          the process of one contender; `remote` is its other end
    contest        which contenders, their batch sizes, rounds in turn
    rows           from timings to rows: JSON lines and a Markdown table
    bundle_bench   the contenders of a bundle (`cldm bench`)
"""
