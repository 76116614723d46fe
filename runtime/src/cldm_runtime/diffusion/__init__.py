"""The maths in the paper's letters: schedule, samplers, guidance. Arrays in, arrays out."""
