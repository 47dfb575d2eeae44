"""From features to logits: heads, and the segmenter that joins them to a backbone."""
