"""The far side: where each image goes, the one forward pass that takes it there, and the receipt."""

from bundler.push.deliver import Delivery, OpenTarget, deliver
from bundler.push.naming import Shipment, shipments
from bundler.push.receipt import Beside, Landed, Receipt, Taken

__all__ = ["Beside", "Delivery", "Landed", "OpenTarget", "Receipt", "Shipment", "Taken", "deliver", "shipments"]
