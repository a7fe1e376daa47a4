"""The one YAML file a user writes, read safely and checked as a whole."""

from tenure.config.campaign import CampaignConfig
from tenure.config.loading import load_config
from tenure.config.playbook import Play, play_of
from tenure.config.sections import (
    AttributeConfig,
    ChurnConfig,
    ClvConfig,
    ColumnMap,
    Config,
    CutoffsConfig,
    DataConfig,
    ExperienceConfig,
    FeaturesConfig,
    GoalConfig,
    MilestoneConfig,
    ModelConfig,
    ScaleConfig,
    TableConfig,
    is_address,
)

__all__ = [
    "AttributeConfig", "CampaignConfig", "ChurnConfig", "ClvConfig", "ColumnMap", "Config",
    "CutoffsConfig", "DataConfig", "ExperienceConfig", "FeaturesConfig", "GoalConfig",
    "MilestoneConfig", "ModelConfig", "Play", "ScaleConfig", "TableConfig", "is_address",
    "load_config", "play_of",
]  # fmt: skip
