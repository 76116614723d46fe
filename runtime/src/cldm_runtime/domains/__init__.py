"""The meaning of labels and attributes, and how label maps are drawn. The only room that names an organ."""
