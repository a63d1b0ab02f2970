# One address, and who may come and go.

data "aws_subnet" "irisab" {
  id                = var.subnet_id
  availability_zone = var.availability_zone
  default_for_az    = var.subnet_id == null ? true : null
}

resource "aws_eip" "irisab" {
  domain = "vpc"

  tags = {
    Name = "irisab"
  }
}

# A resource of its own, so that the address stays when the instance is destroyed.
resource "aws_eip_association" "irisab" {
  allocation_id = aws_eip.irisab.id
  instance_id   = aws_instance.irisab[local.architecture].id
}

resource "aws_security_group" "irisab" {
  name_prefix = "irisab-"
  description = "irisab: HTTP and HTTPS from its users"
  vpc_id      = data.aws_subnet.irisab.vpc_id

  tags = {
    Name = "irisab"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  for_each = { for rule in setproduct([80, 443], var.users_cidrs) : "${rule[0]} from ${rule[1]}" => rule }

  security_group_id = aws_security_group.irisab.id
  description       = "The page and the API"
  cidr_ipv4         = each.value[1]
  ip_protocol       = "tcp"
  from_port         = each.value[0]
  to_port           = each.value[0]
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.ssh_cidrs)

  security_group_id = aws_security_group.irisab.id
  description       = "SSH"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

# Names and time come from the VPC itself, which needs no rule.
resource "aws_vpc_security_group_egress_rule" "out" {
  for_each = { for port in var.egress_ports : tostring(port) => port }

  security_group_id = aws_security_group.irisab.id
  description       = "Releases, packages and Session Manager; mail"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}
