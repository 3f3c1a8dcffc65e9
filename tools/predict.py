"""Predict the change between two images, two scenes, or the files of two folders.

    python tools/predict.py CONFIG CHECKPOINT BEFORE AFTER --out DIR [options]

The same as the command tfinet-predict. In several processes: tools/dist_predict.sh.
"""

from tfinet_mm.apis.command import command

if __name__ == '__main__':
    command()
