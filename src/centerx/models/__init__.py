"""Backbone, neck, head, and the network made of them."""

from centerx.models.backbone import Backbone
from centerx.models.centernet import Branch, CenterHead, CenterNet
from centerx.models.neck import DeconvNeck, DlaConcatNeck, DlaUpNeck, FpnNeck, NoNeck

__all__ = [
    "Backbone",
    "Branch",
    "CenterHead",
    "CenterNet",
    "DeconvNeck",
    "DlaConcatNeck",
    "DlaUpNeck",
    "FpnNeck",
    "NoNeck",
]
