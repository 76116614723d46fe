"""What labels and attributes mean, and how label maps are drawn. The only room that names an organ."""
