# Session Manager: a shell for whom IAM lets in, without an open port and without keys.

data "aws_partition" "current" {}

resource "aws_iam_role" "irisab" {
  name_prefix = "irisab-"
  description = "irisab: Session Manager and nothing else"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  role       = aws_iam_role.irisab.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "irisab" {
  name_prefix = "irisab-"
  role        = aws_iam_role.irisab.name
}
