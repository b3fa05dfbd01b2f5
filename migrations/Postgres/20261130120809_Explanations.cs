using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Postgres
{
    /// <inheritdoc />
    public partial class Explanations : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "ExplanationLimits",
                columns: table => new
                {
                    RewardModelId = table.Column<Guid>(type: "uuid", nullable: false),
                    Mode = table.Column<int>(type: "integer", nullable: false),
                    Space = table.Column<int>(type: "integer", nullable: false),
                    Method = table.Column<int>(type: "integer", nullable: false),
                    Responses = table.Column<int>(type: "integer", nullable: false),
                    ExplainedAbove = table.Column<double>(type: "double precision", nullable: false),
                    DropAbove = table.Column<double>(type: "double precision", nullable: false),
                    JobId = table.Column<Guid>(type: "uuid", nullable: false),
                    At = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_ExplanationLimits", x => new { x.RewardModelId, x.Mode, x.Space, x.Method });
                });

            migrationBuilder.CreateTable(
                name: "Explanations",
                columns: table => new
                {
                    Id = table.Column<Guid>(type: "uuid", nullable: false),
                    ProjectId = table.Column<Guid>(type: "uuid", nullable: false),
                    JobId = table.Column<Guid>(type: "uuid", nullable: false),
                    FlagId = table.Column<Guid>(type: "uuid", nullable: true),
                    ResponseId = table.Column<Guid>(type: "uuid", nullable: false),
                    RewardModelId = table.Column<Guid>(type: "uuid", nullable: false),
                    DatasetVersionId = table.Column<Guid>(type: "uuid", nullable: false),
                    Mode = table.Column<int>(type: "integer", nullable: false),
                    Space = table.Column<int>(type: "integer", nullable: false),
                    Locality = table.Column<double>(type: "double precision", nullable: false),
                    References = table.Column<int>(type: "integer", nullable: false),
                    Reward = table.Column<double>(type: "double precision", nullable: false),
                    Explained = table.Column<double>(type: "double precision", nullable: false),
                    Residual = table.Column<double>(type: "double precision", nullable: false),
                    RelativeResidual = table.Column<double>(type: "double precision", nullable: false),
                    Gap = table.Column<double>(type: "double precision", nullable: false),
                    Method = table.Column<int>(type: "integer", nullable: false),
                    Confidence = table.Column<int>(type: "integer", nullable: false),
                    Drop = table.Column<double>(type: "double precision", nullable: false),
                    ExplainedAbove = table.Column<double>(type: "double precision", nullable: true),
                    DropAbove = table.Column<double>(type: "double precision", nullable: true),
                    Calibrating = table.Column<int>(type: "integer", nullable: false),
                    IsTruncated = table.Column<bool>(type: "boolean", nullable: false),
                    Pairs = table.Column<int>(type: "integer", nullable: false),
                    Milliseconds = table.Column<double>(type: "double precision", nullable: false),
                    Seed = table.Column<long>(type: "bigint", nullable: false),
                    IsSynthetic = table.Column<bool>(type: "boolean", nullable: false),
                    CreatedBy = table.Column<Guid>(type: "uuid", nullable: true),
                    At = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_Explanations", x => x.Id);
                    table.ForeignKey(
                        name: "FK_Explanations_Projects_ProjectId",
                        column: x => x.ProjectId,
                        principalTable: "Projects",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "ExplainingPairs",
                columns: table => new
                {
                    ExplanationId = table.Column<Guid>(type: "uuid", nullable: false),
                    JudgementId = table.Column<Guid>(type: "uuid", nullable: false),
                    OthersJson = table.Column<string>(type: "text", nullable: false),
                    Weight = table.Column<double>(type: "double precision", nullable: false),
                    Margin = table.Column<double>(type: "double precision", nullable: false),
                    Distance = table.Column<double>(type: "double precision", nullable: false),
                    Influence = table.Column<double>(type: "double precision", nullable: false),
                    ProjectionRank = table.Column<int>(type: "integer", nullable: true),
                    InfluenceRank = table.Column<int>(type: "integer", nullable: true),
                    NearestRank = table.Column<int>(type: "integer", nullable: true),
                    CosineRank = table.Column<int>(type: "integer", nullable: true)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_ExplainingPairs", x => new { x.ExplanationId, x.JudgementId });
                    table.ForeignKey(
                        name: "FK_ExplainingPairs_Explanations_ExplanationId",
                        column: x => x.ExplanationId,
                        principalTable: "Explanations",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "PairMarks",
                columns: table => new
                {
                    Id = table.Column<Guid>(type: "uuid", nullable: false),
                    ExplanationId = table.Column<Guid>(type: "uuid", nullable: false),
                    JudgementId = table.Column<Guid>(type: "uuid", nullable: false),
                    Verdict = table.Column<int>(type: "integer", nullable: false),
                    By = table.Column<Guid>(type: "uuid", nullable: false),
                    At = table.Column<DateTimeOffset>(type: "timestamp with time zone", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_PairMarks", x => x.Id);
                    table.ForeignKey(
                        name: "FK_PairMarks_Explanations_ExplanationId",
                        column: x => x.ExplanationId,
                        principalTable: "Explanations",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_ExplainingPairs_JudgementId",
                table: "ExplainingPairs",
                column: "JudgementId");

            migrationBuilder.CreateIndex(
                name: "IX_Explanations_FlagId",
                table: "Explanations",
                column: "FlagId");

            migrationBuilder.CreateIndex(
                name: "IX_Explanations_ProjectId_At",
                table: "Explanations",
                columns: new[] { "ProjectId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_Explanations_ResponseId",
                table: "Explanations",
                column: "ResponseId");

            migrationBuilder.CreateIndex(
                name: "IX_Explanations_RewardModelId_At",
                table: "Explanations",
                columns: new[] { "RewardModelId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_PairMarks_ExplanationId_JudgementId_By_At",
                table: "PairMarks",
                columns: new[] { "ExplanationId", "JudgementId", "By", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_PairMarks_JudgementId",
                table: "PairMarks",
                column: "JudgementId");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "ExplainingPairs");

            migrationBuilder.DropTable(
                name: "ExplanationLimits");

            migrationBuilder.DropTable(
                name: "PairMarks");

            migrationBuilder.DropTable(
                name: "Explanations");
        }
    }
}
