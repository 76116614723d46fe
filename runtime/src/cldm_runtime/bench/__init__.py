"""Benchmarks: contenders in separate processes, timed in turn, one row each.

    machine        the machine, and the matrix product that speeds are compared with
    onnx_flops     operations of a graph
    work           the work of a contender: the bundle's networks, the whole path from requests to a file, segmenting
    child          the process of one contender; `remote` is its other end
    contest        the contenders, their batch sizes, rounds in turn
    rows           from timings to rows: JSON lines and a Markdown table
    bundle_bench   the contenders of a bundle (`cldm bench`)
"""
