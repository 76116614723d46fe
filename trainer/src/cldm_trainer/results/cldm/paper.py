"""What the cLDM paper reports of its five strategies, on patients. Our pages show it in separate tables.

r2: over its M1/M12 test slices, as printed there. Its Frechet distance is on Inception features and not on ours.
"""

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "1.1 as released": "1.1 attributes, as released",
    "1.1": "1.1 attributes",
    "1.2": "1.2 VAE",
    "1.3": "1.3 AR-VAE",
    "2": "2 ControlNet",
    "3": "3 mask latent",
}
ATTRIBUTES = ("infarct_size", "transmurality", "endocardial_surface_length")
R2: Mapping[str, tuple[float, float, float]] = {  # in the order of ATTRIBUTES
    "patients, train": (1.00, 0.98, 1.00),
    "patients, val": (0.93, 0.87, 0.92),
    "patients, test": (0.80, 0.72, 0.84),
    "1.1": (0.59, 0.38, 0.61),
    "1.2": (0.46, 0.26, 0.38),
    "1.3": (0.49, 0.35, 0.44),
    "2": (0.80, 0.64, 0.78),
    "3": (0.90, 0.77, 0.90),
}
FRECHET: Mapping[str, float] = {"patients, test": 29.8, "1.1": 83.4, "1.2": 81.7, "1.3": 91.8, "2": 79.1, "3": 86.7}
SUBSETS: Mapping[str, str] = {"test": "test", "d8": "d8 without mvo"}  # of OVERLAP, and their printed names
REGIONS = ("myocardium", "infarct")  # of OVERLAP: Dice and HD of each, on M1/M12 and on D8 masks; HD as printed
OVERLAP: Mapping[str, tuple[float, float, float, float]] = {
    "patients, test": (0.84, 5.1, 0.65, 19.6),
    "2, test": (0.76, 7.8, 0.56, 14.2),
    "3, test": (0.80, 7.1, 0.61, 13.2),
    "2, d8": (0.72, 12.4, 0.52, 16.5),
    "3, d8": (0.78, 11.0, 0.63, 13.2),
}
EXPERTS = "two experts classified 68 and 45 % of shuffled and 88 and 67 % of paired images correctly"
