"""Networks: backbones, heads, the segmenter that joins them, and discriminators."""
