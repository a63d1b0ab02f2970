terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
}

provider "aws" {
  region = substr(var.availability_zone, 0, length(var.availability_zone) - 1)

  default_tags {
    tags = {
      Project = "irisab"
    }
  }
}
