"""Task: detect obstacles on the road in photographs and video, with a box, a class and a score each.

Data: rendered road scenes by default; KITTI, Pascal VOC, COCO, YOLO, BDD100K and tables of boxes.
Headline metric: COCO average precision at an overlap of 0.5 (``map_50``), intervals by sequence.
Limits: a research tool, not a safety component. What it misses, and how near that was, stands in its report.
"""
