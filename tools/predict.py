"""Predict what changed between two images, or the images of two folders.

    python tools/predict.py CONFIG CHECKPOINT BEFORE AFTER --out DIR [options]

The same as the command tfinet-predict.
"""

from tfinet_mm.apis.command import main

if __name__ == '__main__':
    main()
