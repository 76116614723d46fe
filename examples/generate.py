"""Images with a chosen infarct, from Python. Run it from the root of the repository:

    python examples/generate.py
"""

from cldm_runtime import Generator, measure

generator = Generator.load("exported/lge")

# One image for each pair of values; what is left out (transmurality, slice position, ...) is drawn plausibly.
images, masks = generator.sample(attributes={"infarct_size": [0.1, 0.2, 0.3], "slice_position": 0.5}, seed=0)
print(f"images {images.shape}, intensities {images.min():.2f} to {images.max():.2f}; masks {masks.shape}")
print("infarct size measured on the masks:", measure(masks)["infarct_size"].round(3))

# Any number of images, batch by batch, in constant memory.
requests = ({"infarct_size": 0.05 + 0.01 * (i % 30)} for i in range(64))
for batch in generator.stream(requests, seed=1):
    print(f"samples {batch.sample_index[0]} to {batch.sample_index[-1]}: mean intensity {batch.images.mean():.3f}")
