"""The evaluation of the paper on segmentation-guided diffusion: do synthetic images show their label maps?"""
