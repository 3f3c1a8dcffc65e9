_base_ = 'setting.py'
