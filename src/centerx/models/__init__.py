"""Backbone, neck, head, and the network made of them."""

from centerx.models.backbone import Backbone
from centerx.models.centernet import CenterNet
from centerx.models.head import CenterHead
from centerx.models.neck import DeconvNeck, DlaConcatNeck, DlaUpNeck, FpnNeck, NoNeck

__all__ = ["Backbone", "CenterHead", "CenterNet", "DeconvNeck", "DlaConcatNeck", "DlaUpNeck", "FpnNeck", "NoNeck"]
