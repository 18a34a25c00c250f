"""What a pretrained supernet is worth to somebody with a few images."""
