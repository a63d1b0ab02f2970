# What holds of every plan. Nothing here asks AWS: `terraform test` needs no account.

mock_provider "aws" {
  mock_data "aws_ec2_instance_type" {
    defaults = {
      supported_architectures = ["x86_64"]
      ebs_nvme_support        = "required"
      memory_size             = 4096
    }
  }

  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_ebs_volume" {
    defaults = { id = "vol-0123456789abcdef0" }
  }
}

variables {
  availability_zone = "eu-central-1a"
  users_cidrs       = ["203.0.113.0/24", "198.51.100.0/24"]
  release_url       = "https://example.org/irisab-1.0.tar.gz"
  release_sha256    = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
}

run "the_host_is_closed_and_its_disks_are_encrypted" {
  command = plan

  assert {
    condition     = aws_instance.irisab["x86_64"].metadata_options[0].http_tokens == "required"
    error_message = "Instance metadata answers without a token: version 1 is on."
  }

  assert {
    condition     = aws_instance.irisab["x86_64"].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Instance metadata can be reached through a proxy."
  }

  assert {
    condition     = aws_instance.irisab["x86_64"].root_block_device[0].encrypted
    error_message = "The system disk is not encrypted."
  }

  assert {
    condition     = aws_ebs_volume.data.encrypted
    error_message = "The data volume is not encrypted."
  }

  assert {
    condition     = aws_ebs_volume.data.final_snapshot
    error_message = "The data are gone once the data volume is destroyed."
  }

  assert {
    condition     = toset([aws_instance.irisab["x86_64"].root_block_device[0].volume_type, aws_ebs_volume.data.type]) == toset(["gp3"])
    error_message = "A disk is not gp3."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.ssh) == 0
    error_message = "SSH is open, and nobody has asked for it."
  }
}

run "users_reach_the_web_ports_and_nobody_anything_else" {
  command = plan

  assert {
    condition = toset([for rule in aws_vpc_security_group_ingress_rule.web : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"]) == toset([
      "tcp 80-80 203.0.113.0/24", "tcp 443-443 203.0.113.0/24",
      "tcp 80-80 198.51.100.0/24", "tcp 443-443 198.51.100.0/24",
    ])
    error_message = "The web ports are not open to users_cidrs, or to more."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.out : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port}"] == ["tcp 443-443"]
    error_message = "The host may open other connections than HTTPS."
  }
}

run "the_operator_may_open_ssh_to_an_address" {
  command = plan

  variables {
    ssh_cidrs = ["203.0.113.7/32"]
    key_name  = "mine"
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.ssh : "${rule.ip_protocol} ${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}"] == ["tcp 22-22 203.0.113.7/32"]
    error_message = "SSH is not open to ssh_cidrs, or to more."
  }
}

run "a_graviton_type_gets_an_arm_image" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type.irisab
    values = { supported_architectures = ["arm64"], ebs_nvme_support = "required", memory_size = 4096 }
  }

  assert {
    condition     = endswith(data.aws_ssm_parameter.image.name, "-arm64") && keys(aws_instance.irisab) == ["arm64"]
    error_message = "An arm64 type starts from an image of another architecture."
  }
}

run "an_old_type_has_no_nvme_names" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type.irisab
    values = { supported_architectures = ["x86_64"], ebs_nvme_support = "unsupported", memory_size = 4096 }
  }

  expect_failures = [data.aws_ec2_instance_type.irisab]
}

run "a_small_type_has_too_little_memory" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type.irisab
    values = { supported_architectures = ["x86_64"], ebs_nvme_support = "required", memory_size = 1024 }
  }

  expect_failures = [data.aws_ec2_instance_type.irisab]
}

run "apply" {
  assert {
    condition     = strcontains(aws_instance.irisab["x86_64"].user_data, "device=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0\n")
    error_message = "user_data does not know the data volume by its NVMe name."
  }

  assert {
    condition     = strcontains(aws_instance.irisab["x86_64"].user_data, "\nurl='https://example.org/irisab-1.0.tar.gz'\nsha256='9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'\n")
    error_message = "user_data would install another release than the one that was asked for."
  }

  assert {
    condition     = jsondecode(output.install).commands[0] == aws_instance.irisab["x86_64"].user_data
    error_message = "An upgrade would run something else than a new host does."
  }

  assert {
    condition     = length(aws_instance.irisab["x86_64"].user_data) < 16384
    error_message = "user_data is longer than EC2 takes."
  }
}

run "a_new_image_and_a_new_release_leave_the_host_alone" {
  command = plan

  variables {
    release_url = "https://example.org/irisab-2.0.tar.gz"
  }

  override_data {
    target = data.aws_ssm_parameter.image
    values = { insecure_value = "ami-0fedcba9876543210" }
  }

  assert {
    condition     = aws_instance.irisab["x86_64"].ami == "ami-0123456789abcdef0"
    error_message = "Amazon's next image would destroy this host."
  }

  assert {
    condition     = strcontains(aws_instance.irisab["x86_64"].user_data, "irisab-1.0.tar.gz")
    error_message = "The next release would stop this host, and start it with the old one."
  }

  assert {
    condition     = strcontains(output.install, "irisab-2.0.tar.gz")
    error_message = "The next release could not be installed by Session Manager."
  }
}

run "a_snapshot_is_only_for_a_new_volume" {
  command = plan

  variables {
    data_snapshot_id = "snap-0123456789abcdef0"
  }

  assert {
    condition     = aws_ebs_volume.data.snapshot_id != "snap-0123456789abcdef0"
    error_message = "A snapshot would take the place of the data that are there."
  }
}

run "another_zone_does_not_cost_the_data" {
  command = plan

  variables {
    availability_zone = "eu-central-1b"
  }

  expect_failures = [aws_instance.irisab]
}

run "mistakes_are_refused" {
  command = plan

  variables {
    availability_zone = "eu-central-1"
    users_cidrs       = ["203.0.113.7/24"]
    ssh_cidrs         = ["0.0.0.0/1"]
    release_url       = "http://example.org/irisab-1.0.tar.gz"
    release_sha256    = "9f86d081"
    egress_ports      = [587]
    root_gb           = 8
    data_gb           = 0
  }

  expect_failures = [
    var.availability_zone, var.users_cidrs, var.ssh_cidrs, var.release_url, var.release_sha256,
    var.egress_ports, var.root_gb, var.data_gb,
  ]
}
