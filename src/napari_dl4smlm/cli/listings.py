"""`dl4smlm models` and `dl4smlm devices`: what there is to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from napari_dl4smlm.cli.options import report_errors

if TYPE_CHECKING:
    from napari_dl4smlm.backend.models.network import SuperResolutionNetwork

_FRAME_PX = 64


@click.command()
@click.option(
    "--upsampling",
    type=click.Choice(["1", "2", "4", "8"]),
    default="8",
    show_default=True,
    help="fine pixels per camera pixel",
)
@click.option(
    "--layers", is_flag=True, help="list the layers that can give and take hints in distillation"
)
@report_errors
def models(upsampling: str, layers: bool) -> None:
    """List the networks with their size, cost and options, or their layers."""
    from napari_dl4smlm.backend.models.registry import MODELS, create_model

    networks = [create_model(name, upsampling_factor=int(upsampling)) for name in MODELS]
    if layers:
        _list_layers(networks)
    else:
        _list_costs(networks, upsampling)


def _list_costs(networks: list[SuperResolutionNetwork], upsampling: str) -> None:
    from napari_dl4smlm.backend.models.registry import operations_per_frame, parameter_count

    click.echo(
        f"{'model':<12} {'parameters':>10}  {'GFLOP per frame':>15}  {'sees':>10}  options\n"
        f"{'':<12} {'':>10}  {f'{_FRAME_PX} x {_FRAME_PX} px, ×{upsampling}':>15}"
    )
    for network in networks:
        operations = operations_per_frame(network, _FRAME_PX, _FRAME_PX)
        options = ", ".join(f"{key}={value}" for key, value in network.options.items())
        click.echo(
            f"{network.name:<12} {parameter_count(network):>10,}  {2e-9 * operations:>15.1f}  "
            f"{f'± {network.halo} px':>10}  {options}"
        )


def _list_layers(networks: list[SuperResolutionNetwork]) -> None:
    from napari_dl4smlm.backend.models.layers import network_layers

    for network in networks:
        click.echo(f"{network.name:<42} channels  pixels per camera pixel along each axis")
        for name, layer in network_layers(network).items():
            note = "  (default)" if name == network.hint_layer else ""
            click.echo(f"  {name:<40} {layer.channels:>8}  {layer.scale:g}{note}")


@click.command()
@report_errors
def devices() -> None:
    """List the devices a network can run on, and why others cannot be used."""
    from napari_dl4smlm.backend.models.device import available_devices

    for device in available_devices():
        note = device.description if device.available else f"not available: {device.reason}"
        click.echo(f"{device.name:<8} {note}")
