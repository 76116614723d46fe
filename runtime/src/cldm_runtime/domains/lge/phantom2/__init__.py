"""The second LGE phantom: a heart in its thorax, with the contrast, the artefacts and the contours of real LGE."""
