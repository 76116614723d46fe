"""How a scan becomes an image: point spread, noise and rim, and what an image tells of them. Knows no organ."""
