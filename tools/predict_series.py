"""Predict the changes over a series of scenes, and when each place changed.

    python tools/predict_series.py CONFIG CHECKPOINT SCENE1 SCENE2 SCENE3 --out DIR [options]

Each neighbouring pair is predicted as by tools/predict.py.
"""

from tfinet_mm.apis.series_command import command

if __name__ == '__main__':
    command()
