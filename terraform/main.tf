# One host, and a data volume that outlives it.

data "aws_ec2_instance_type" "irisab" {
  instance_type = var.instance_type

  lifecycle {
    postcondition {
      condition     = self.ebs_nvme_support == "required"
      error_message = "${var.instance_type} is older than the Nitro system, and user_data finds the data volume by its NVMe name: take a newer type, such as t3.medium or t4g.medium."
    }

    postcondition {
      condition     = self.memory_size >= 4096
      error_message = "${var.instance_type} has ${self.memory_size} MB of memory and irisab needs 4096: take t3.medium, t4g.medium or larger."
    }
  }
}

locals {
  architecture = contains(data.aws_ec2_instance_type.irisab.supported_architectures, "arm64") ? "arm64" : "x86_64"

  install = templatefile("${path.module}/user_data.sh.tftpl", {
    release_url    = var.release_url
    release_sha256 = var.release_sha256
    volume         = replace(aws_ebs_volume.data.id, "-", "")
  })
}

data "aws_ssm_parameter" "image" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${local.architecture}"
}

# By architecture, so that a change from t3 to t4g makes a new host from a new image. An image can't
# be changed in a host that is there, and the other architecture's would not start.
resource "aws_instance" "irisab" {
  for_each = toset([local.architecture])

  ami                    = data.aws_ssm_parameter.image.insecure_value
  instance_type          = var.instance_type
  subnet_id              = data.aws_subnet.irisab.id
  vpc_security_group_ids = [aws_security_group.irisab.id]
  iam_instance_profile   = aws_iam_instance_profile.irisab.name
  key_name               = var.key_name
  ebs_optimized          = true
  user_data              = local.install

  #checkov:skip=CKV_AWS_126: Prometheus on the host looks every few seconds, and this would cost 2 USD a month

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = var.root_gb
  }

  tags = {
    Name = "irisab"
  }

  lifecycle {
    # Amazon publishes an image every other week: each would destroy this host and make another.
    # And cloud-init runs user_data only once: a new release there would stop the host and start it
    # again, with the old one. README.md, Upgrade, says how to install it.
    ignore_changes = [ami, user_data]

    precondition {
      condition     = aws_ebs_volume.data.availability_zone == var.availability_zone
      error_message = "The data volume is in ${aws_ebs_volume.data.availability_zone} and can't leave it: set availability_zone back, or see README.md, Move."
    }
  }
}

resource "aws_ebs_volume" "data" {
  #checkov:skip=CKV_AWS_189: a key of your own costs 1 USD a month and would keep out nobody else; AWS has one for the account

  availability_zone = var.availability_zone
  size              = var.data_gb
  type              = "gp3"
  encrypted         = true
  snapshot_id       = var.data_snapshot_id

  tags = {
    Name = "irisab data"
  }

  # Whoever destroys it, on purpose or not, finds it again: data_snapshot_id brings it back.
  final_snapshot = true

  lifecycle {
    # Both say what it was made as. A change would destroy it and make an empty one.
    ignore_changes = [availability_zone, snapshot_id]
  }
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdf"
  instance_id = aws_instance.irisab[local.architecture].id
  volume_id   = aws_ebs_volume.data.id

  # What the history has in memory gets to the disk.
  stop_instance_before_detaching = true

  # user_data waits for the volume. So its downloads begin when the address is the final one, and
  # are not cut off by its arrival.
  depends_on = [aws_eip_association.irisab]
}
