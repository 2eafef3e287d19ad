"""Everything about alerts that one viewer process works with."""

from dataclasses import dataclass

from spanflow.viewer_api.alerts.apprise_sender import AppriseSender
from spanflow.viewer_api.alerts.channel_store import ChannelStore
from spanflow.viewer_api.alerts.delivery import Deliveries
from spanflow.viewer_api.alerts.delivery_log import DeliveryLog
from spanflow.viewer_api.alerts.evaluator import Evaluator
from spanflow.viewer_api.alerts.event_feed import EventFeed
from spanflow.viewer_api.alerts.gateway_losses import GatewayLosses
from spanflow.viewer_api.alerts.guarded_network import networks
from spanflow.viewer_api.alerts.loss_log import LossLog
from spanflow.viewer_api.alerts.measures import Measures, OpenFlows
from spanflow.viewer_api.alerts.preview import Previewer
from spanflow.viewer_api.alerts.rule_store import RuleStore
from spanflow.viewer_api.alerts.webhook import WebhookSender
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.database import Database
from spanflow.viewer_api.store.redis_flows import RedisFlows


@dataclass(frozen=True, slots=True)
class Alerts:
    rules: RuleStore
    losses: LossLog
    channels: ChannelStore
    delivery_log: DeliveryLog
    deliveries: Deliveries
    evaluator: Evaluator
    previewer: Previewer
    feed: EventFeed
    webhook: WebhookSender
    apprise: AppriseSender


def alerts_of(
    settings: ViewerSettings,
    primary: Database,
    reads: Database,
    open_flows: OpenFlows,
    redis_flows: RedisFlows,
    clock: Clock,
) -> Alerts:
    """`primary` is written to. Rules are evaluated by what `reads` knows."""
    rules, channels, delivery_log = RuleStore(primary), ChannelStore(primary), DeliveryLog(primary)
    webhook = WebhookSender(networks(settings.alert_networks), clock)
    apprise = AppriseSender(settings.alert_apprise)
    seconds = settings.alert_seconds
    return Alerts(
        rules,
        LossLog(primary),
        channels,
        delivery_log,
        Deliveries(rules, channels, delivery_log, webhook, apprise, clock, settings.viewer_public_url),
        Evaluator(
            rules,
            delivery_log,
            Measures(reads, primary, open_flows),
            GatewayLosses(primary, redis_flows),
            clock,
            seconds,
        ),
        Previewer(reads, primary, seconds),
        EventFeed(rules),
        webhook,
        apprise,
    )
