"""Images: where they come from, and the batches made of them."""

from fewshot_core.data.images import ImageArray, Images, ImageShape
from fewshot_core.data.sources import ImageData, load_images
from fewshot_core.data.stream import Batch, BatchStream

__all__ = ["Batch", "BatchStream", "ImageArray", "ImageData", "ImageShape", "Images", "load_images"]
