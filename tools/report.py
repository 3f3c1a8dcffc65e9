"""Write one HTML page of the predictions in a folder: python tools/report.py OUT [options]."""

from tfinet_mm.report.command import command

if __name__ == '__main__':
    command()
